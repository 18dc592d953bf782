"""Phantom chest radiographs, drawn by code: no patient's film is ever a test's input.

A film is a sum of attenuations, as in a real radiograph: soft tissue, minus the air in the
lungs, plus bone, heart, vessels and, in PNEUMONIA, opacities. The sum is then exposed through
a film's S-shaped curve and given grain. Everything but the grain depends on the seed alone,
so one seed draws the same patient at every size.

The encoders of :mod:`tests.film_files` are re-exported here: tests import from this module.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tests.film_dicom import SYNTAXES, encode_dicom
from tests.film_files import (
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
    "draw_film",
    "encode",
    "encode_dicom",
    "hostile_files",
    "write_dataset",
    "zipped",
]

Kind = Literal["NORMAL", "PNEUMONIA"]
Pattern = Literal["lobar", "patchy", "interstitial"]
Plane = npt.NDArray[np.float32]

_KINDS: tuple[Kind, ...] = ("NORMAL", "PNEUMONIA")
SPINE_X = 0.5
PATTERNS: tuple[Pattern, ...] = ("lobar", "patchy", "interstitial")


def draw_film(kind: Kind, *, seed: int, size: int = 256) -> npt.NDArray[np.uint8]:
    """Draw one frontal chest film.

    Args:
        kind: NORMAL draws clear lungs, PNEUMONIA adds lobar, patchy or interstitial opacities.
        seed: same seed, same patient, position and exposure; NORMAL and PNEUMONIA of one seed
            show the same chest without and with the disease.
        size: side of the square film in pixels, at least 32.

    Returns:
        uint8 (size, size), higher is whiter.
    """
    if kind not in ("NORMAL", "PNEUMONIA"):
        raise ValueError(f"kind must be 'NORMAL' or 'PNEUMONIA', not {kind!r}")
    patient = _Patient.draw(seed)
    chest = _Chest(patient, size)
    density = chest.soft_tissue() + chest.bones() + chest.vessels()
    if kind == "PNEUMONIA":
        density += _opacity(chest, np.random.default_rng([seed, 2]))
    film = _expose(density, patient, np.random.default_rng([seed, 3, size]))
    if patient.marker:
        film = _burn_in_marker(film, patient)
    return film


def write_dataset(
    root: Path, *, per_class: int, seed: int = 0, size: int = 256, patients: int | None = None
) -> Path:
    """Write NORMAL/ and PNEUMONIA/ with films named as the public paediatric set names them.

    Args:
        root: folder to write to; made if missing.
        per_class: films in each class.
        seed: another seed draws other films.
        size: side of each film in pixels.
        patients: patients in each class, each with one film or more; by default one patient
            in three has a second film. The first half of the NORMAL patients is numbered
            IM-, the rest NORMAL2-IM-; PNEUMONIA patients take turns at bacteria and virus.

    Returns:
        root.
    """
    patients = patients or max(1, per_class - per_class // 4)
    for label, kind in enumerate(_KINDS):
        folder = root / kind
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(per_class):
            film = draw_film(kind, seed=(seed * 2 + label) * 100_003 + index, size=size)
            name = _public_name(kind, index % patients, index // patients, index, patients)
            (folder / name).write_bytes(encode(film, "jpeg"))
    return root


def _public_name(kind: Kind, patient: int, repeat: int, index: int, patients: int) -> str:
    """File name of a patient's film, e.g. NORMAL2-IM-0381-0001.jpeg, person12_virus_34.jpeg."""
    if kind == "NORMAL":
        series = "IM" if patient < (patients + 1) // 2 else "NORMAL2-IM"
        return f"{series}-{115 + patient:04d}-{1 + repeat:04d}.jpeg"
    return f"person{12 + patient}_{('bacteria', 'virus')[patient % 2]}_{34 + index}.jpeg"


@dataclass(frozen=True)
class _Patient:
    """What differs from child to child and from exposure to exposure; lengths are film sides."""

    seed: int
    tilt: float
    zoom: float
    shift: tuple[float, float]
    inspiration: float
    heart: float
    lung_width: float
    rib_spacing: float
    rib_phase: float
    exposure: float
    contrast: float
    grain: float
    marker: bool

    @classmethod
    def draw(cls, seed: int) -> _Patient:
        rng = np.random.default_rng([seed, 0])
        return cls(
            seed=seed,
            tilt=float(rng.normal(0, 0.025)),
            zoom=float(rng.uniform(0.94, 1.05)),
            shift=(float(rng.normal(0, 0.012)), float(rng.normal(0, 0.012))),
            inspiration=float(rng.uniform(-0.03, 0.03)),
            heart=float(rng.uniform(0.92, 1.12)),
            lung_width=float(rng.uniform(0.94, 1.05)),
            rib_spacing=float(rng.uniform(0.078, 0.090)),
            rib_phase=float(rng.uniform(0, 1)),
            exposure=float(rng.uniform(0.90, 1.10)),
            contrast=float(rng.uniform(0.90, 1.12)),
            grain=float(rng.uniform(0.5, 1.0)),
            marker=bool(rng.random() < 0.5),
        )


class _Chest:
    """One patient's anatomy sampled on a size x size grid; planes are float32 attenuations."""

    def __init__(self, patient: _Patient, size: int) -> None:
        self.patient = patient
        self.size = size
        axis = (np.arange(size, dtype=np.float32) + 0.5) / size
        column, row = np.meshgrid(axis, axis)
        self.x, self.y = _posed(column, row, patient)
        # Film left is the patient's right.
        self.side = np.sign(self.x - SPINE_X)
        self.off = np.abs(self.x - SPINE_X)
        self.lungs = self._lungs()

    def cage_half_width(self) -> Plane:
        """Half the inner width of the rib cage at each row."""
        dome = np.clip((self.y - 0.10) / 0.62, 0, 1)
        return self.patient.lung_width * (0.415 * np.sqrt(1 - (1 - dome) ** 2.2))

    def diaphragm(self) -> Plane:
        """Row of the diaphragm at each column: two domes, the patient's right one higher."""
        base = 0.80 + self.patient.inspiration - 0.022 * (self.side < 0)
        reach = (self.off - 0.19) / 0.24
        return base + 0.10 * np.clip(reach, -0.9, 1.3) ** 2

    def _lungs(self) -> Plane:
        """Share of the greatest depth of air, 0 to 1, before heart and mediastinum."""
        width = np.maximum(self.cage_half_width(), 1e-3)
        across = np.clip((self.off - 0.055) / np.maximum(width - 0.055, 1e-3), 0, 1.2)
        depth = np.clip(1 - (2 * np.abs(across - 0.46)) ** 3.0 * 0.80, 0, 1)
        depth *= _edge(width - self.off, 0.007) * _edge(self.off - 0.045, 0.012)
        depth *= _edge(self.diaphragm() - self.y, 0.006) * _edge(self.y - 0.115, 0.012)
        # Lungs thin out towards the apices.
        return depth * (0.62 + 0.38 * np.clip((self.y - 0.11) / 0.25, 0, 1))

    def soft_tissue(self) -> Plane:
        """Trunk, neck, arms, heart, great vessels and abdomen, less the lungs' air."""
        trunk = self._trunk()
        heart = self._heart()
        air = self.lungs * (1 - 0.80 * heart)
        under = _edge(self.y - self.diaphragm(), 0.02)
        abdomen = under * _edge(self.cage_half_width() + 0.03 - self.off, 0.03)
        gas = _ellipse(self.x, self.y, 0.655, 0.925, 0.075, 0.040, 0.02)
        mediastinum = np.exp(-((self.off / 0.060) ** 4)) * _edge(self.y - 0.02, 0.05)
        texture = _cloud([self.patient.seed, 1], self.size, 10)
        tissue: Plane = (
            trunk * (1.0 + 0.035 * texture)
            + 0.20 * heart * trunk
            + 0.13 * abdomen * (1 + 0.15 * texture) * trunk
            - 0.20 * gas
            + 0.12 * mediastinum * trunk
            - 0.12 * self._airway()
            - 0.60 * air
        )
        return tissue

    def _trunk(self) -> Plane:
        """Soft tissue in the beam's way; nothing beside the neck and outside the arms."""
        slope = np.clip((self.y - 0.01) / 0.20, 0, 1)
        half = 0.115 + 0.355 * slope**1.5 - 0.015 * np.clip((self.y - 0.3) / 0.5, 0, 1)
        depth = np.clip(1 - (self.off / np.maximum(half, 1e-3)) ** 4, 0, 1) ** 0.55
        trunk = (0.36 + 0.36 * depth) * _edge(half - self.off, 0.006)
        axis = 0.455 + 0.10 * np.clip(self.y - 0.20, 0, 1)
        arm = np.clip(1 - ((self.off - axis) / 0.075) ** 2, 0, 1) ** 0.5
        return np.maximum(trunk, 0.62 * arm * _edge(self.y - 0.14, 0.02))

    def _heart(self) -> Plane:
        """Share of the lung's depth that heart and great vessels take, 0 to 1."""
        grow = self.patient.heart
        lift = self.patient.inspiration * 0.7
        left = _ellipse(self.x, self.y, 0.545, 0.665 + lift, 0.150 * grow, 0.165, 0.012, -0.55)
        right = _ellipse(self.x, self.y, 0.470, 0.665 + lift, 0.085 * grow, 0.130, 0.012)
        arch = _ellipse(self.x, self.y, 0.540, 0.345, 0.048, 0.045, 0.010)
        trunk = _ellipse(self.x, self.y, 0.555, 0.465, 0.050, 0.085, 0.016, 0.2)
        cava = _ellipse(self.x, self.y, 0.462, 0.365, 0.032, 0.180, 0.012)
        return 1 - (1 - left) * (1 - right) * (1 - arch) * (1 - trunk) * (1 - cava)

    def _airway(self) -> Plane:
        """The dark column of the trachea and its two main bronchi."""
        bend = SPINE_X - 0.006 - 0.010 * np.clip(self.y / 0.4, 0, 1)
        trachea = np.exp(-(((self.x - bend) / 0.017) ** 4)) * _edge(0.40 - self.y, 0.02)
        main = np.exp(-(((self.y - 0.39 - 0.75 * self.off) / 0.016) ** 2))
        return np.maximum(trachea, 0.7 * main * _edge(0.085 - self.off, 0.02))

    def bones(self) -> Plane:
        """Spine, ribs, clavicles, shoulder blades and upper arms."""
        return self._spine() + self._ribs() + self._shoulder()

    def _spine(self) -> Plane:
        body = np.exp(-((self.off / 0.038) ** 6))
        level = (self.y / 0.062 + self.patient.rib_phase) % 1.0
        disc = np.exp(-(((level - 0.5) / 0.11) ** 2))
        pedicle = np.exp(-((np.hypot((self.off - 0.024) / 0.009, (level - 0.1) / 0.16)) ** 2))
        return np.asarray(0.13 * body * (1 - 0.40 * disc) + 0.05 * pedicle, np.float32)

    def _ribs(self) -> Plane:
        """Posterior ribs arch out and down from the spine; anterior ones come back inwards."""
        width = np.maximum(self.cage_half_width() + 0.008, 1e-3)
        reach = np.clip(self.off / width, 0, 1)
        wobble = 0.004 * _cloud([self.patient.seed, 4], self.size, 6)
        drop = 0.075 * reach**2 + 0.10 * reach**9 - 0.020 * reach
        back = self._rib_bands(self.y - drop + wobble, 0.40)
        front = self._rib_bands(self.y - 0.155 - 0.19 * (1 - reach) ** 1.2 + wobble, 0.46)
        inside = _edge(width - self.off, 0.004)
        back *= inside * _edge(self.off - 0.030, 0.008)
        front *= inside * _edge(reach - 0.40, 0.06)
        span = _edge(self.y - 0.115 - 0.02 * self.off, 0.008) * _edge(0.90 - self.y, 0.05)
        # Seen tangentially at the rim of the cage, bone is thicker.
        rim = 1 + 0.9 * np.clip((reach - 0.86) / 0.14, 0, 1) ** 2
        return np.asarray(span * rim * (0.125 * back + 0.085 * front), np.float32)

    def _rib_bands(self, along: Plane, share: float) -> Plane:
        """Bands one rib spacing apart, brighter at their cortex; share is bone to spacing."""
        phase = (along / self.patient.rib_spacing + self.patient.rib_phase) % 1.0 - 0.5
        across = np.abs(phase) / (share / 2)
        shaft = _edge(1 - across, 0.10)
        return shaft * (0.62 + 0.38 * np.exp(-(((across - 0.78) / 0.20) ** 2)))

    def _shoulder(self) -> Plane:
        s = np.clip((self.off - 0.035) / 0.33, 0, 1)
        middle = 0.165 - 0.075 * s + 0.030 * np.sin(2 * np.pi * s)
        across = np.abs(self.y - middle) / (0.0150 + 0.006 * (2 * s - 1) ** 2)
        collar = _edge(1 - across, 0.10) * (0.65 + 0.35 * np.exp(-(((across - 0.8) / 0.2) ** 2)))
        collar *= _edge(self.off - 0.035, 0.006) * _edge(0.365 - self.off, 0.008)
        blade = _ellipse(self.off, self.y, 0.385, 0.285, 0.055, 0.120, 0.010, 0.22)
        spur = np.exp(-(((self.off - 0.335 - 0.10 * (self.y - 0.2)) / 0.006) ** 2))
        spur *= _edge(self.y - 0.19, 0.01) * _edge(0.39 - self.y, 0.01)
        axis = 0.452 + 0.10 * np.clip(self.y - 0.20, 0, 1)
        across = np.abs(self.off - axis) / 0.027
        arm = _edge(1 - across, 0.08) * (0.6 + 0.4 * np.exp(-(((across - 0.8) / 0.22) ** 2)))
        arm *= _edge(self.y - 0.19, 0.012)
        head = _ellipse(self.off, self.y, 0.438, 0.185, 0.042, 0.042, 0.008)
        arm = np.maximum(arm, 0.85 * head)
        return np.asarray(0.15 * collar + 0.055 * blade + 0.05 * spur + 0.19 * arm, np.float32)

    def vessels(self) -> Plane:
        """The hila and the vessels that branch from them, thinning outwards."""
        tree = _vessel_tree(self.patient, self.size)
        hilum = _ellipse(self.off, self.y, 0.085, 0.46, 0.028, 0.060, 0.03)
        inside = np.clip(self.lungs * 1.5, 0, 1)
        return np.asarray(inside * (0.20 * tree + 0.09 * hilum), np.float32)


def _vessel_tree(patient: _Patient, size: int) -> Plane:
    """Branching lines from both hila as a plane of 0 to about 1."""
    rng = np.random.default_rng([patient.seed, 5])
    sheets = []
    for half_width in (0.0060, 0.0034, 0.0018):
        sheets.append((half_width, Image.new("L", (2 * size, 2 * size))))
    pens = [ImageDraw.Draw(sheet) for _, sheet in sheets]

    def grow(x: float, y: float, angle: float, length: float, order: int) -> None:
        for _ in range(7):
            step = length / 7
            angle += rng.normal(0, 0.10)
            end = (x + step * np.cos(angle), y + step * np.sin(angle))
            weight = max(1, round(2 * size * sheets[order][0]))
            ends = [2 * size * c for c in (x, y, *end)]
            pens[order].line(ends, fill=(255, 215, 170)[order], width=weight)
            x, y = end
            if order < 2 and rng.random() < 0.55:
                turn = rng.choice((-1, 1)) * rng.uniform(0.35, 0.85)
                grow(x, y, angle + turn, length * rng.uniform(0.45, 0.75), order + 1)

    for side in (-1, 1):
        for bearing in np.linspace(-1.25, 1.40, 8):
            angle = bearing if side > 0 else np.pi - bearing
            y = 0.44 + 0.05 * np.sin(bearing)
            grow(SPINE_X + side * 0.075, y, angle, rng.uniform(0.17, 0.27), 0)
    tree = np.zeros((size, size), np.float32)
    for (half_width, sheet), strength in zip(sheets, (1.0, 0.8, 0.55), strict=True):
        soft = sheet.filter(ImageFilter.GaussianBlur(max(1.0, 2 * size * half_width * 0.55)))
        small = soft.resize((size, size), Image.Resampling.BOX)
        tree += strength * np.asarray(small, np.float32) / 255
    return tree


def _opacity(chest: _Chest, rng: np.random.Generator) -> Plane:
    """Attenuation that pneumonia adds: up to what the air had taken away."""
    pattern: Pattern = PATTERNS[int(rng.integers(len(PATTERNS)))]
    veil = {"lobar": _lobar, "patchy": _patchy, "interstitial": _interstitial}[pattern]
    return np.asarray(chest.lungs * veil(chest, rng), np.float32)


def _lobar(chest: _Chest, rng: np.random.Generator) -> Plane:
    """One lobe filled, ragged at the rim and cut off sharply by a fissure."""
    side = int(rng.choice((-1, 1)))
    upper = bool(rng.random() < 0.4)
    y, x = (0.30, SPINE_X + side * 0.20) if upper else (0.66, SPINE_X + side * 0.23)
    ragged = 0.05 * _cloud(rng, chest.size, 7)
    spread = np.hypot((chest.x - x) / 0.17, (chest.y - y) / 0.17) + 4 * ragged
    fill = _edge(1 - spread, 0.22)
    fissure = (0.43 if upper else 0.50) + 0.10 * (chest.off - 0.2)
    fill *= _edge((fissure - chest.y) * (1 if upper else -1), 0.008)
    return np.asarray(rng.uniform(0.40, 0.50) * fill * (1 + 1.5 * ragged), np.float32)


def _patchy(chest: _Chest, rng: np.random.Generator) -> Plane:
    """Fluffy spots that run together, mostly in the lower and inner zones of both lungs."""
    fluff = 1 + 0.55 * _cloud(rng, chest.size, 24) + 0.35 * _cloud(rng, chest.size, 48)
    clear = np.ones_like(chest.x)
    for _ in range(int(rng.integers(7, 13))):
        x = SPINE_X + rng.choice((-1, 1)) * rng.uniform(0.12, 0.32)
        y = rng.uniform(0.36, 0.80)
        radius = rng.uniform(0.035, 0.085)
        spread = np.hypot(chest.x - x, (chest.y - y) * 1.1) / radius
        clear *= 1 - rng.uniform(0.5, 0.9) * np.exp(-(spread**2))
    return np.asarray(0.46 * (1 - clear) * np.clip(fluff, 0.3, 1.5), np.float32)


def _interstitial(chest: _Chest, rng: np.random.Generator) -> Plane:
    """Streaks and haze around both hila."""
    haze = np.exp(-(np.hypot((chest.off - 0.12) / 0.17, (chest.y - 0.52) / 0.26) ** 2))
    mesh = np.abs(_cloud(rng, chest.size, 40)) + 0.6 * np.abs(_cloud(rng, chest.size, 80))
    lines = np.clip(1.1 - 1.6 * mesh, 0, 1)
    return np.asarray(haze * (0.13 + 0.02 * rng.random() + 0.24 * lines), np.float32)


def _expose(density: Plane, patient: _Patient, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Put attenuation through the film's curve, add grain and blur, quantise."""
    size = density.shape[0]
    level = np.clip((density * patient.exposure - 0.06) / 0.98, 0, None)
    curve = level**1.15 / (level**1.15 + 0.48 ** (1.15 * patient.contrast) * (1 - level * 0.45))
    grain = rng.normal(0, 1, density.shape).astype(np.float32)
    # Grain is correlated over a few pixels on a large film, and finest where most light fell.
    grain = _blurred(grain, 0.35 + size / 2000) * (1 + size / 900)
    curve = _blurred(np.asarray(curve, np.float32), size * 0.0012)
    curve += 0.011 * patient.grain * grain * (0.5 + curve)
    return np.asarray(np.clip(np.rint(curve * 255), 0, 255), np.uint8)


def _burn_in_marker(film: npt.NDArray[np.uint8], patient: _Patient) -> npt.NDArray[np.uint8]:
    """Burn an R in at the patient's right shoulder, as the technician's lead letter does."""
    size = film.shape[0]
    rng = np.random.default_rng([patient.seed, 6])
    sheet = Image.fromarray(film)
    font = ImageFont.load_default(size=max(8, round(size * rng.uniform(0.045, 0.06))))
    place = (size * rng.uniform(0.03, 0.07), size * rng.uniform(0.03, 0.07))
    ImageDraw.Draw(sheet).text(place, "R", fill=int(rng.integers(215, 250)), font=font)
    return np.asarray(sheet).copy()


def _posed(column: Plane, row: Plane, patient: _Patient) -> tuple[Plane, Plane]:
    """Body coordinates of each film point, the child lying a little turned and off centre."""
    dx, dy = column - 0.5 - patient.shift[0], row - 0.5 - patient.shift[1]
    cos, sin = np.cos(patient.tilt), np.sin(patient.tilt)
    x = (cos * dx - sin * dy) / patient.zoom + 0.5
    y = (sin * dx + cos * dy) / patient.zoom + 0.5
    return x.astype(np.float32), y.astype(np.float32)


def _edge(distance: Plane, softness: float) -> Plane:
    """0 outside, 1 inside, a soft step where the signed distance crosses zero."""
    return np.asarray(0.5 + 0.5 * np.tanh(distance / softness), np.float32)


def _ellipse(
    x: Plane, y: Plane, cx: float, cy: float, rx: float, ry: float, soft: float, turn: float = 0.0
) -> Plane:
    """A filled ellipse of 1 with a rim that is `soft` film sides wide, turned by radians."""
    cos, sin = np.cos(turn), np.sin(turn)
    dx, dy = x - cx, y - cy
    radius = np.hypot((cos * dx + sin * dy) / rx, (cos * dy - sin * dx) / ry)
    return _edge((1 - radius) * min(rx, ry), soft)


def _cloud(seed: int | list[int] | np.random.Generator, size: int, cells: int) -> Plane:
    """Smooth noise of mean 0 and deviation about 1 with `cells` blobs a side."""
    grid = np.random.default_rng(seed).normal(0, 1.5, (cells, cells)).astype(np.float32)
    smooth = Image.fromarray(grid).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32)


def _blurred(plane: Plane, radius: float) -> Plane:
    """Gaussian blur by separable convolution; Pillow's blur does not take float planes."""
    if radius < 0.2:
        return plane
    reach = int(np.ceil(3 * radius))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2).astype(np.float32)
    taps /= taps.sum()
    for axis in (0, 1):
        pad = [(reach, reach) if a == axis else (0, 0) for a in (0, 1)]
        padded = np.pad(plane, pad, mode="edge")
        length = plane.shape[axis]
        plane = sum(  # type: ignore[assignment]
            tap * padded.take(range(i, i + length), axis) for i, tap in enumerate(taps)
        )
    return plane
