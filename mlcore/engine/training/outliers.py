"""Images that are not upright chest X-rays, for training the OOD classifier.

They are synthetic, so that the classifier does not memorise a collection of real images; those are
used to test it. All randomness comes from the generator passed in.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

Picture = npt.NDArray[np.uint8]
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789  .,:%"


def synthetic(rng: np.random.Generator, *, size: int) -> Picture:
    """Return a synthetic image of a random kind, (size, size) uint8."""
    return _KINDS[rng.integers(len(_KINDS))](rng, size)


def rotated(film: Picture, rng: np.random.Generator) -> Picture:
    """Return a film rotated by 90, 180 or 270 degrees, or flipped upside down."""
    quarter = int(rng.integers(4))
    if quarter == 0:
        return film[::-1].copy()
    return np.rot90(film, quarter).copy()


def shuffled(film: Picture, donor: Picture, rng: np.random.Generator) -> Picture:
    """Return a film with its anatomy rearranged.

    An enlarged crop, shuffled tiles, one half only, or two films side by side.
    """
    size = film.shape[0]
    kind = rng.integers(4)
    if kind == 0:
        side = int(size * rng.uniform(0.15, 0.45))
        top, left = rng.integers(0, size - side, 2)
        part = Image.fromarray(film[top : top + side, left : left + side])
        return np.asarray(part.resize((size, size), Image.Resampling.BICUBIC))
    if kind == 1:
        count = int(rng.integers(2, 8))
        edge = size // count
        tiles = [
            film[r * edge : (r + 1) * edge, c * edge : (c + 1) * edge]
            for r in range(count)
            for c in range(count)
        ]
        order = rng.permutation(len(tiles))
        rows = [
            np.hstack([tiles[i] for i in order[r * count : (r + 1) * count]]) for r in range(count)
        ]
        return _fitted(np.vstack(rows), size)
    if kind == 2:
        half = film[:, : size // 2] if rng.random() < 0.5 else film[:, size // 2 :]
        return _fitted(half, size)
    joined = np.hstack([film, donor]) if rng.random() < 0.5 else np.vstack([film, donor])
    return _fitted(joined, size)


def _fitted(picture: Picture, size: int) -> Picture:
    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))


def _scaled(values: npt.NDArray[np.float64]) -> Picture:
    low, high = values.min(), values.max()
    return np.rint(255 * (values - low) / max(high - low, 1e-9)).astype(np.uint8)


def _cloud(rng: np.random.Generator, size: int) -> Picture:
    """Return noise with a power-law spectrum, from grain to clouds."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.rfftfreq(size), indexing="ij"))
    fall = np.maximum(frequency, 1 / size) ** -rng.uniform(0, 2.5)
    phase = np.exp(2j * np.pi * rng.random(fall.shape))
    return _scaled(np.fft.irfft2(fall * phase, s=(size, size)))


def _gradient(rng: np.random.Generator, size: int) -> Picture:
    row, column = np.mgrid[0:size, 0:size] / size
    angle = rng.uniform(0, 2 * np.pi)
    ramp = np.cos(angle) * row + np.sin(angle) * column
    centre = rng.uniform(0, 1, 2)
    disc = np.hypot(row - centre[0], column - centre[1])
    waves = np.sin(2 * np.pi * rng.uniform(1, 30) * (ramp if rng.random() < 0.5 else disc))
    return _scaled([ramp, disc, waves, ramp + 0.3 * waves][rng.integers(4)])


def _page(rng: np.random.Generator, size: int) -> Picture:
    """Return a page of random letters in one to three columns."""
    dark = rng.random() < 0.3
    image = Image.new(
        "L", (size, size), int(rng.integers(0, 60) if dark else rng.integers(190, 256))
    )
    draw = ImageDraw.Draw(image)
    ink = int(rng.integers(180, 256) if dark else rng.integers(0, 80))
    height = size * rng.uniform(0.025, 0.12)
    font = ImageFont.load_default(size=height)
    columns, top = int(rng.integers(1, 4)), rng.uniform(0, 0.2) * size
    while top < size * rng.uniform(0.7, 1.0):
        for column in range(columns):
            letters = rng.choice(list(_LETTERS), int(rng.integers(3, 4 + 60 // columns)))
            draw.text((size * (0.03 + column / columns), top), "".join(letters), ink, font=font)
        top += height * rng.uniform(1.1, 1.8)
    return np.array(image)


def _leaves(rng: np.random.Generator, size: int) -> Picture:
    """Return overlapping shapes with power-law sizes (dead leaves model of photographs)."""
    image = Image.new("L", (size, size), int(rng.integers(256)))
    draw = ImageDraw.Draw(image)
    for _ in range(int(rng.integers(3, 250))):
        reach = size * min(0.5, 0.03 * rng.pareto(1.5) + 0.015)
        x, y = rng.uniform(0, size, 2)
        shade, kind = int(rng.integers(256)), rng.integers(4)
        box = (x - reach, y - reach * rng.uniform(0.3, 1), x + reach, y + reach)
        if kind == 0:
            draw.ellipse(box, fill=shade)
        elif kind == 1:
            draw.rectangle(box, fill=shade)
        elif kind == 2:
            corners = rng.uniform(-reach, reach, (int(rng.integers(3, 7)), 2)) + np.array((x, y))
            draw.polygon([tuple(corner) for corner in corners], fill=shade)
        else:
            end = rng.uniform(0, size, 2)
            draw.line((x, y, *end), fill=shade, width=int(rng.integers(1, 6)))
    picture = np.array(image).astype(np.float64)
    if rng.random() < 0.5:
        picture += rng.uniform(5, 60) * (_cloud(rng, size) / 255.0 - 0.5)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _scan(rng: np.random.Generator, size: int) -> Picture:
    """Return a bright ring with organs in it on black, similar to a CT slice."""
    row, column = np.mgrid[0:size, 0:size] / size
    picture = np.zeros((size, size))
    wide, high = rng.uniform(0.25, 0.48, 2)
    body = np.hypot((column - 0.5) / wide, (row - 0.5) / high)
    picture[body < 1] = rng.uniform(60, 140)
    picture[(body < 1) & (body > rng.uniform(0.85, 0.97))] = rng.uniform(140, 255)
    for _ in range(int(rng.integers(2, 12))):
        x, y = rng.uniform(0.3, 0.7, 2)
        organ = np.hypot((column - x) / rng.uniform(0.03, 0.2), (row - y) / rng.uniform(0.03, 0.2))
        picture[(organ < 1) & (body < 0.9)] = rng.uniform(0, 255)
    picture += rng.normal(0, rng.uniform(1, 15), picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def _flat(rng: np.random.Generator, size: int) -> Picture:
    grain = rng.normal(0, rng.uniform(0, 3), (size, size))
    return np.clip(rng.integers(256) + grain, 0, 255).astype(np.uint8)


_KINDS: tuple[Callable[[np.random.Generator, int], Picture], ...] = (
    _cloud,
    _gradient,
    _page,
    _leaves,
    _leaves,
    _scan,
    _flat,
)
