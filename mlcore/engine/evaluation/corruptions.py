"""Image corruptions as other equipment, screens or messaging apps cause, in three severities.

Based on MedMNIST-C (Di Salvo, Doerrich, Ledig 2024); applied before preprocessing.
"""

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Pixels = npt.NDArray[np.uint8]
SEVERITIES = (1, 2, 3)


def corrupt(film: Pixels, kind: str, severity: int, *, seed: int) -> Pixels:
    """Return a corrupted copy of a (H, W) film.

    Args:
        film: uint8 pixels.
        kind: one of KINDS.
        severity: 1, 2 or 3.
        seed: seed of noise, direction and position.

    Raises:
        ValueError: unknown kind or severity.
    """
    if kind not in _CORRUPTIONS or severity not in SEVERITIES:
        raise ValueError(
            f"Corruptions: {', '.join(KINDS)}, severity 1 to 3. Received: {kind!r}, {severity}."
        )
    rng = np.random.default_rng([seed, severity])
    return _CORRUPTIONS[kind](film, severity - 1, rng)


def any_of(film: Pixels, seed: int) -> Pixels:
    """Return a film under a corruption whose kind and severity depend on the seed."""
    rng = np.random.default_rng([seed, 23])
    kind, severity = KINDS[rng.integers(len(KINDS))], int(rng.integers(1, 4))
    return corrupt(film, kind, severity, seed=seed)


def _table(film: Pixels, levels: npt.NDArray[np.float64]) -> Pixels:
    return np.clip(np.rint(255 * levels), 0, 255).astype(np.uint8)[film]


_GREY = np.linspace(0, 1, 256)


def _exposure(film: Pixels, grade: int, rng: np.random.Generator) -> Pixels:
    gain = (1.15, 1.3, 1.5)[grade]
    return _table(film, _GREY * (gain if rng.random() < 0.5 else 1 / gain))


def _contrast(film: Pixels, grade: int, rng: np.random.Generator) -> Pixels:
    return _table(film, 0.5 + (_GREY - 0.5) * (0.75, 0.55, 0.35)[grade])


def _gamma(film: Pixels, grade: int, rng: np.random.Generator) -> Pixels:
    power = (1.25, 1.6, 2.0)[grade]
    return _table(film, _GREY ** (power if rng.random() < 0.5 else 1 / power))


def _blur(film: Pixels, grade: int, rng: np.random.Generator) -> Pixels:
    radius = (0.003, 0.005, 0.008)[grade] * min(film.shape)
    return np.asarray(Image.fromarray(film).filter(ImageFilter.GaussianBlur(radius)))


def _noise(film: Pixels, grade: int, rng: np.random.Generator) -> Pixels:
    grain = rng.normal(0, 255 * (0.02, 0.04, 0.07)[grade], film.shape)
    return np.clip(np.rint(film + grain), 0, 255).astype(np.uint8)


def _jpeg(film: Pixels, grade: int, rng: np.random.Generator) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(film).save(buffer, "JPEG", quality=(50, 30, 15)[grade])
    with Image.open(buffer, formats=["JPEG"]) as image:
        return np.asarray(image.convert("L"))


def _crop(film: Pixels, grade: int, rng: np.random.Generator) -> Pixels:
    share = (0.03, 0.06, 0.11)[grade]
    rows, columns = (round(share * side) for side in film.shape)
    return film[rows : film.shape[0] - rows, columns : film.shape[1] - columns]


def _rotation(film: Pixels, grade: int, rng: np.random.Generator) -> Pixels:
    angle = (3, 6, 10)[grade] * (1 if rng.random() < 0.5 else -1)
    return np.asarray(Image.fromarray(film).rotate(angle, Image.Resampling.BILINEAR))


def _marker(film: Pixels, grade: int, rng: np.random.Generator) -> Pixels:
    image = Image.fromarray(film.copy())
    draw = ImageDraw.Draw(image)
    side = min(film.shape)
    font = ImageFont.load_default(size=max(6.0, side * (0.05, 0.08, 0.12)[grade]))
    for text in ("R", "10:42", "KV60")[: grade + 1]:
        x, y = rng.uniform(0.02, 0.85), rng.choice([rng.uniform(0, 0.08), rng.uniform(0.85, 0.92)])
        draw.text((x * film.shape[1], y * film.shape[0]), text, fill=255, font=font)
    return np.array(image)


_CORRUPTIONS: dict[str, Callable[[Pixels, int, np.random.Generator], Pixels]] = {
    "exposure": _exposure,
    "contrast": _contrast,
    "gamma": _gamma,
    "blur": _blur,
    "noise": _noise,
    "jpeg": _jpeg,
    "crop": _crop,
    "rotation": _rotation,
    "marker": _marker,
}
KINDS = tuple(_CORRUPTIONS)
