"""Synthetic chest radiographs: tests never use a patient's film.

A film is a sum of attenuations, as in a real radiograph: soft tissue, minus the air in the
lungs, plus bone, heart, vessels and, in PNEUMONIA, opacities. The sum is then exposed through
a film's S-shaped curve and given grain. Everything but the grain depends on the seed only,
so one seed gives the same patient at every size.

The encoders of :mod:`tests.films.encodings` and :mod:`tests.films.dicom` are re-exported here;
tests import from this module.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from tests.films.chest import SPINE_X, Chest, Patient, Plane, cloud, edge
from tests.films.dicom import SYNTAXES, edited_dicom, encode_dicom
from tests.films.encodings import (
    ENCODERS,
    HostileFile,
    animated,
    bomb_png,
    encode,
    hostile_files,
    zipped,
)

__all__ = [
    "ENCODERS",
    "SYNTAXES",
    "HostileFile",
    "animated",
    "bomb_png",
    "edited_dicom",
    "encode",
    "encode_dicom",
    "hostile_files",
    "synthetic_film",
    "synthetic_lungs",
    "write_dataset",
    "zipped",
]

Kind = Literal["NORMAL", "PNEUMONIA"]
Pattern = Literal["lobar", "patchy", "interstitial"]

_KINDS: tuple[Kind, ...] = ("NORMAL", "PNEUMONIA")
PATTERNS: tuple[Pattern, ...] = ("lobar", "patchy", "interstitial")


def synthetic_film(kind: Kind, *, seed: int, size: int = 256) -> npt.NDArray[np.uint8]:
    """Return one synthetic frontal chest film.

    Args:
        kind: NORMAL has clear lungs, PNEUMONIA has lobar, patchy or interstitial opacities.
        seed: same seed, same patient, position and exposure; NORMAL and PNEUMONIA of one seed
            show the same chest without and with the disease.
        size: side of the square film in pixels, at least 32.

    Returns:
        uint8 (size, size), higher is whiter.
    """
    if kind not in ("NORMAL", "PNEUMONIA"):
        raise ValueError(f"kind must be 'NORMAL' or 'PNEUMONIA', not {kind!r}")
    return _synthetic_film(kind, seed, size).copy()


@lru_cache(maxsize=256)
def _synthetic_film(kind: Kind, seed: int, size: int) -> npt.NDArray[np.uint8]:
    patient = Patient.draw(seed)
    chest = Chest(patient, size)
    density = chest.soft_tissue() + chest.bones() + chest.vessels()
    if kind == "PNEUMONIA":
        density += _opacity(chest, np.random.default_rng([seed, 2]))
    film = _expose(density, patient, np.random.default_rng([seed, 3, size]))
    if patient.marker:
        film = _burn_in_marker(film, patient)
    return film


def synthetic_lungs(*, seed: int, size: int = 256) -> npt.NDArray[np.uint8]:
    """Return the mask of the lungs of `synthetic_film`: 255 in the lungs, 0 elsewhere."""
    chest = Chest(Patient.draw(seed), size)
    beside_the_spine = np.abs(chest.x - SPINE_X) > 0.06
    return np.where((chest.lungs > 0.2) & beside_the_spine, 255, 0).astype(np.uint8)


def write_dataset(
    root: Path,
    *,
    per_class: int,
    seed: int = 0,
    size: int = 256,
    patients: int | None = None,
    masks: Path | None = None,
) -> Path:
    """Write NORMAL/ and PNEUMONIA/ with file names like those of the public paediatric data set.

    Args:
        root: folder to write to; created if missing.
        per_class: films in each class.
        seed: another seed gives other films.
        size: side of each film in pixels.
        patients: patients in each class, each with one film or more; by default one patient
            in three has a second film. The first half of the NORMAL patients is numbered
            IM-, the rest NORMAL2-IM-; PNEUMONIA patients alternate between bacteria and virus.
        masks: folder to write the masks of the lungs to.

    Returns:
        root.
    """
    patients = patients or max(1, per_class - per_class // 4)
    for label, kind in enumerate(_KINDS):
        folder = root / kind
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(per_class):
            film_seed = (seed * 2 + label) * 100_003 + index
            film = synthetic_film(kind, seed=film_seed, size=size)
            name = _public_name(kind, index % patients, index // patients, index, patients)
            (folder / name).write_bytes(encode(film, "jpeg"))
            if masks is not None:
                path = masks / kind / f"{Path(name).stem}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(encode(synthetic_lungs(seed=film_seed, size=224), "png"))
    return root


def _public_name(kind: Kind, patient: int, repeat: int, index: int, patients: int) -> str:
    """Return a file name such as NORMAL2-IM-0381-0001.jpeg or person12_virus_34.jpeg."""
    if kind == "NORMAL":
        series = "IM" if patient < (patients + 1) // 2 else "NORMAL2-IM"
        return f"{series}-{115 + patient:04d}-{1 + repeat:04d}.jpeg"
    return f"person{12 + patient}_{('bacteria', 'virus')[patient % 2]}_{34 + index}.jpeg"


def _opacity(chest: Chest, rng: np.random.Generator) -> Plane:
    """Attenuation that pneumonia adds, at most that of the displaced air."""
    pattern: Pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
    veil = {"lobar": _lobar, "patchy": _patchy, "interstitial": _interstitial}[pattern]
    return np.asarray(chest.air * veil(chest, rng), np.float32)


def _lobar(chest: Chest, rng: np.random.Generator) -> Plane:
    """Consolidation of one lobe, ragged at the rim and sharp at a fissure."""
    side = int(rng.choice((-1, 1)))
    upper = bool(rng.random() < 0.4)
    y, x = (0.30, SPINE_X + side * 0.20) if upper else (0.66, SPINE_X + side * 0.23)
    ragged = 0.05 * cloud(rng, chest.size, 7)
    spread = np.hypot((chest.x - x) / 0.17, (chest.y - y) / 0.17) + 4 * ragged
    fill = edge(1 - spread, 0.22)
    fissure = (0.43 if upper else 0.50) + 0.10 * (chest.off - 0.2)
    fill *= edge((fissure - chest.y) * (1 if upper else -1), 0.008)
    return np.asarray(rng.uniform(0.32, 0.42) * fill * (1 + 1.5 * ragged), np.float32)


def _patchy(chest: Chest, rng: np.random.Generator) -> Plane:
    """Confluent fluffy opacities, mostly in the lower and inner zones of both lungs."""
    fluff = 1 + 0.16 * cloud(rng, chest.size, 20) + 0.14 * cloud(rng, chest.size, 44)
    clear = np.ones_like(chest.x)
    for _ in range(int(rng.integers(7, 13))):
        x = SPINE_X + rng.choice((-1, 1)) * rng.uniform(0.12, 0.32)
        y = rng.uniform(0.36, 0.80)
        radius = rng.uniform(0.045, 0.095)
        spread = np.hypot(chest.x - x, (chest.y - y) * 1.1) / radius
        clear *= 1 - rng.uniform(0.5, 0.9) * np.exp(-(spread**2))
    return np.asarray(0.36 * (1 - clear) * np.clip(fluff, 0.3, 1.5), np.float32)


def _interstitial(chest: Chest, rng: np.random.Generator) -> Plane:
    """Streaks and haze around both hila."""
    haze = np.exp(-(np.hypot((chest.off - 0.12) / 0.17, (chest.y - 0.52) / 0.26) ** 2))
    mesh = np.zeros_like(haze)
    for cells, weight in ((26, 0.6), (44, 0.6), (70, 0.4)):
        # Zero crossings of smooth noise form closed lines, like thickened septa.
        mesh += weight * np.exp(-((cloud(rng, chest.size, cells) / 0.45) ** 2))
    return np.asarray(haze * (0.10 + 0.15 * mesh), np.float32)


def _expose(density: Plane, patient: Patient, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Apply the film's curve to the attenuation, add grain and blur, and quantise."""
    size = density.shape[0]
    level = np.clip((density * patient.exposure - 0.06) / 0.98, 0, None)
    curve = level**1.15 / (level**1.15 + 0.48 ** (1.15 * patient.contrast) * (1 - level * 0.45))
    grain = rng.normal(0, 1, density.shape).astype(np.float32)
    # On a large film, grain is correlated over a few pixels.
    grain = _blurred(grain, 0.35 + size / 2000) * (1 + size / 900)
    curve = _blurred(np.asarray(curve, np.float32), size * 0.0012)
    curve += 0.011 * patient.grain * grain * (0.5 + curve)
    return np.asarray(np.clip(np.rint(curve * 255), 0, 255), np.uint8)


def _burn_in_marker(film: npt.NDArray[np.uint8], patient: Patient) -> npt.NDArray[np.uint8]:
    """Burn in an R at the patient's right shoulder, like a lead marker."""
    size = film.shape[0]
    rng = np.random.default_rng([patient.seed, 6])
    sheet = Image.fromarray(film)
    font = ImageFont.load_default(size=max(8, round(size * rng.uniform(0.045, 0.06))))
    place = (size * rng.uniform(0.03, 0.07), size * rng.uniform(0.03, 0.07))
    ImageDraw.Draw(sheet).text(place, "R", fill=int(rng.integers(215, 250)), font=font)
    return np.asarray(sheet).copy()


def _blurred(plane: Plane, radius: float) -> Plane:
    """Blur by separable convolution, because Pillow cannot blur float images."""
    if radius < 0.2:
        return plane
    reach = int(np.ceil(3 * radius))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2).astype(np.float32)
    taps /= taps.sum()
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(plane, pad, mode="edge")
        length = plane.shape[axis]
        shifted = (padded.take(range(i, i + length), axis) for i in range(len(taps)))
        plane = sum((tap * s for tap, s in zip(taps, shifted, strict=True)), np.zeros_like(plane))
    return plane
