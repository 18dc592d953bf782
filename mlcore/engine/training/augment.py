"""Data augmentation of training films.

Applied after `preprocess.prepare_bytes`, so that training and serving differ only by what is
implemented here. All randomness comes from the generator passed in.
"""

from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

# The coefficients of PIL's affine transform, from output to input pixels.
Affine = tuple[float, float, float, float, float, float]
_MARKER_TEXTS = ("R", "L", "AP", "PA", "KV59", "KV60", "MAS2", "SUPINE", "PORTABLE", "P", "10:42")


@dataclass(frozen=True)
class Augmentation:
    """Strength of each augmentation; zero disables it.

    Attributes:
        rotate: largest rotation, degrees either way.
        shift: largest shift, share of the side, either way and direction.
        zoom: largest change of scale, each axis; 0.15 means 0.85 to 1.15.
        flip: probability of mirroring left and right.
        gamma: largest |log gamma| of an exposure change.
        contrast: largest share by which grey levels are pulled to or pushed from their middle.
        brightness: largest shift of the grey levels, share of white.
        noise: largest standard deviation of added noise, share of white.
        blur: probability of a Gaussian blur of up to 1.2 pixels at 224.
        frame: probability that the outer frame is replaced by another film's, by one grey level or
            by noise, because the frame predicts the class without showing any lung.
        frame_width: largest width of that frame, as a fraction of the side.
        marker: probability of burned-in letters or a bright patch near the edge.
        erase: probability that one to three rectangles are erased.
        corrupted: probability of the film's corrupted version, with the lungs found on that.
        drawn: probability of lungs that people drew instead of those that were found.
        mask_grow: largest change of how far the lungs are grown, share of the side.
        box_margin: largest change of each margin around the lungs, share of their width or height.

    The last four apply to models that read the lungs only; `frame` and `marker` don't.
    """

    rotate: float = 12.0
    shift: float = 0.06
    zoom: float = 0.15
    flip: float = 0.5
    gamma: float = 0.5
    contrast: float = 0.25
    brightness: float = 0.1
    noise: float = 0.04
    blur: float = 0.3
    frame: float = 0.5
    frame_width: float = 0.12
    marker: float = 0.3
    erase: float = 0.3
    corrupted: float = 0.0
    drawn: float = 0.0
    mask_grow: float = 0.0
    box_margin: float = 0.0

    def to_card(self) -> dict[str, float]:
        """Return the fields for the card."""
        return asdict(self)


def augment(
    film: np.ndarray, *, donor: np.ndarray, rng: np.random.Generator, spec: Augmentation
) -> np.ndarray:
    """Return an augmented copy of a film.

    Args:
        film: (size, size) uint8.
        donor: another film of the same shape, whose frame may be used.
        rng: the only source of randomness.
        spec: the strength of each augmentation.

    Returns:
        (size, size) uint8.
    """
    size = film.shape[0]
    warped = Image.fromarray(film).transform(
        (size, size), Image.Transform.AFFINE, warp(size, rng, spec), Image.Resampling.BILINEAR
    )
    if rng.random() < spec.blur:
        warped = _blurred(warped, rng)
    pixels = _expose(np.array(warped), rng, spec)
    if rng.random() < spec.frame:
        _replace_frame(pixels, donor, rng, spec.frame_width)
    if rng.random() < spec.erase:
        erase(pixels, rng)
    if rng.random() < spec.marker:
        pixels = _burn_marker(pixels, rng)
    return _noisy(pixels, rng, spec)


def disturbed(film: np.ndarray, rng: np.random.Generator, spec: Augmentation) -> np.ndarray:
    """Return a copy of a (size, size) uint8 film, with random blur, exposure and noise."""
    if rng.random() < spec.blur:
        film = np.asarray(_blurred(Image.fromarray(film), rng))
    return _noisy(_expose(film, rng, spec), rng, spec)


def _blurred(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2) * image.width / 224))


def _noisy(film: np.ndarray, rng: np.random.Generator, spec: Augmentation) -> np.ndarray:
    if not spec.noise:
        return film
    deviation = rng.uniform(0, spec.noise) * 255
    noisy = film + rng.normal(0, deviation, film.shape).astype(np.float32)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def warp(size: int, rng: np.random.Generator, spec: Augmentation) -> Affine:
    """Draw a transform that rotates, scales, shifts and mirrors about the centre.

    Returns:
        The coefficients of PIL's affine transform, from output to input pixels. Uncovered corners
        become black.
    """
    angle = np.deg2rad(rng.uniform(-spec.rotate, spec.rotate))
    scale_x, scale_y = 1 / rng.uniform(1 - spec.zoom, 1 + spec.zoom, 2)
    shift_x, shift_y = rng.uniform(-spec.shift, spec.shift, 2) * size
    mirror = -1 if rng.random() < spec.flip else 1
    a, b = mirror * scale_x * np.cos(angle), scale_x * np.sin(angle)
    d, e = -mirror * scale_y * np.sin(angle), scale_y * np.cos(angle)
    middle = (size - 1) / 2
    c = middle - a * (middle + shift_x) - b * (middle + shift_y)
    f = middle - d * (middle + shift_x) - e * (middle + shift_y)
    return float(a), float(b), float(c), float(d), float(e), float(f)


def compose(outer: Affine, inner: Affine) -> Affine:
    """Return the transform that applies `inner` first, then `outer`."""
    a, b, c, d, e, f = inner
    p, q, r, s, t, u = outer
    return (
        p * a + q * d, p * b + q * e, p * c + q * f + r,
        s * a + t * d, s * b + t * e, s * c + t * f + u,
    )  # fmt: skip


def _expose(film: np.ndarray, rng: np.random.Generator, spec: Augmentation) -> np.ndarray:
    """Change gamma, contrast and brightness with one look-up table."""
    grey = np.linspace(0, 1, 256) ** np.exp(rng.uniform(-spec.gamma, spec.gamma))
    grey = 0.5 + (grey - 0.5) * (1 + rng.uniform(-spec.contrast, spec.contrast))
    grey = grey + rng.uniform(-spec.brightness, spec.brightness)
    return np.clip(np.rint(grey * 255), 0, 255).astype(np.uint8)[film]


def _replace_frame(
    film: np.ndarray, donor: np.ndarray, rng: np.random.Generator, width: float
) -> None:
    size = film.shape[0]
    top, bottom, left, right = (rng.uniform(0, width, 4) * size).astype(int)
    inner = (slice(top, size - bottom), slice(left, size - right))
    kept = film[inner].copy()
    kind = rng.integers(4)
    if kind <= 1:
        film[:] = donor[:, ::-1] if kind else donor
    elif kind == 2:
        film[:] = rng.integers(256)
    else:
        film[:] = rng.integers(0, 256, film.shape)
    film[inner] = kept


def erase(film: np.ndarray, rng: np.random.Generator, *, level: int | None = None) -> None:
    """Erase one to three rectangles of a film in place, with `level` or random grey levels."""
    size = film.shape[0]
    for _ in range(rng.integers(1, 4)):
        height, width = (rng.uniform(0.06, 0.28, 2) * size).astype(int)
        top, left = rng.integers(0, size - height), rng.integers(0, size - width)
        film[top : top + height, left : left + width] = (
            rng.integers(256) if level is None else level
        )


def _burn_marker(film: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw one or two markers near the edge, as technologists do."""
    size = film.shape[0]
    image = Image.fromarray(film)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(1, 3)):
        text = _MARKER_TEXTS[rng.integers(len(_MARKER_TEXTS))]
        font = ImageFont.load_default(size=max(6.0, size * rng.uniform(0.035, 0.1)))
        near, along = rng.uniform(0.01, 0.15), rng.uniform(0.02, 0.9)
        if rng.random() < 0.5:
            near = 0.95 - near
        x, y = (near, along) if rng.random() < 0.5 else (along, near)
        shade = int(rng.choice([rng.integers(200, 256), rng.integers(0, 40)], p=[0.85, 0.15]))
        draw.text((x * size, y * size), text, fill=shade, font=font)
    return np.array(image)
