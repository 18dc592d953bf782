"""The legend beside the heatmap: the result and how to read the colours, in both languages."""

import io
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from diagnosis.services.report_content import ReportContent
from diagnosis.services.report_text import FONTS
from mlcore import inference

WIDTH: Final = 560
MARGIN: Final = 28
BACKGROUND, INK, QUIET = (16, 18, 22), (240, 242, 245), (176, 182, 190)
_FAMILY = FONTS / "noto-sans-cjk-tc-2.004"
_TITLE, _TEXT = 26, 20
_BAR_HEIGHT = 22


class Line(NamedTuple):
    """A line of text. `gap` is the space above it."""

    text: str
    size: int
    is_bold: bool
    colour: tuple[int, int, int]
    gap: int


def lines_of(texts: list[ReportContent], model: str) -> tuple[list[Line], list[Line]]:
    """Return the lines above and below the colour bar."""
    above: list[Line] = []
    for content in texts:
        above += _wrapped(content.heatmap, size=_TITLE, is_bold=True, gap=14)
    for content in texts:
        colon = "：" if content.language.startswith("zh") else ": "
        result = f"{content.result_heading}{colon}{content.result}"
        above += _wrapped(result, is_bold=True, gap=18)
        if content.figures is not None:
            probability = f"{content.figures.label}{colon}{content.figures.probability}"
            above += _wrapped(probability) + _wrapped(content.figures.rule, colour=QUIET)
    below: list[Line] = []
    for content in texts:
        legend = content.legend
        for place, text in enumerate([*legend.lines, *legend.warnings] if legend else []):
            below += _wrapped(text, colour=QUIET, gap=0 if place else 18)
    below += _wrapped(model, colour=QUIET, gap=18)
    for content in texts:
        below += _wrapped(content.notes[-1], is_bold=True, gap=12)
    return above, below


def height_of(above: list[Line], below: list[Line]) -> int:
    """Return the height of the legend in pixels."""
    return 2 * MARGIN + sum(map(_height, (*above, *below))) + 2 * _BAR_HEIGHT + _height(_ends(""))


def draw(
    page: Image.Image,
    left: int,
    above: list[Line],
    below: list[Line],
    *,
    weak: str,
    strong: str,
) -> None:
    """Draw the legend on `page` from `left` to its right edge."""
    pen = ImageDraw.Draw(page)
    top = _text(pen, left, MARGIN, above) + _BAR_HEIGHT // 2
    width = WIDTH - 2 * MARGIN
    bar = inference.render_heatmap(np.linspace(0, 1, width)[np.newaxis], width, _BAR_HEIGHT)
    colours = opened(bar)
    page.paste(Image.new("RGB", colours.size, (70, 70, 70)), (left, top))
    page.paste(colours.convert("RGB"), (left, top), colours.getchannel("A"))
    top += _BAR_HEIGHT + 4
    font = _font(_TEXT, is_bold=False)
    pen.text((left, top), weak, font=font, fill=INK)
    pen.text((left + width - font.getlength(strong), top), strong, font=font, fill=INK)
    _text(pen, left, top + _height(_ends("")), below)


def _ends(text: str) -> Line:
    return Line(text, _TEXT, False, INK, 0)


def _text(pen: ImageDraw.ImageDraw, left: int, top: int, lines: list[Line]) -> int:
    for line in lines:
        top += line.gap
        font = _font(line.size, is_bold=line.is_bold)
        pen.text((left, top), line.text, font=font, fill=line.colour)
        top += _height(line) - line.gap
    return top


def _height(line: Line) -> int:
    return round(1.42 * line.size) + line.gap


def _wrapped(
    text: str,
    *,
    size: int = _TEXT,
    is_bold: bool = False,
    colour: tuple[int, int, int] = INK,
    gap: int = 4,
) -> list[Line]:
    """Break a text at spaces, and between Chinese characters, so that it fits."""
    font = _font(size, is_bold=is_bold)
    lines, current = [], ""
    for piece in _pieces(text):
        if current and font.getlength((current + piece).rstrip()) > WIDTH - 2 * MARGIN:
            lines.append(current.rstrip())
            current = ""
        current += piece
    lines.append(current.rstrip())
    return [
        Line(part, size, is_bold, colour, 0 if place else gap) for place, part in enumerate(lines)
    ]


def _pieces(text: str) -> list[str]:
    """Return the parts that must not be broken: words, and characters with their punctuation."""
    pieces: list[str] = []
    for character in text:
        is_wide = ord(character) > 0x2E7F
        begins = not pieces or pieces[-1].endswith(" ") or is_wide or ord(pieces[-1][-1]) > 0x2E7F
        if pieces and (not begins or character in "，。、；：）」》！？,.;:)"):
            pieces[-1] += character
        else:
            pieces.append(character)
    return pieces


@cache
def _font(size: int, *, is_bold: bool) -> ImageFont.FreeTypeFont:
    name = "noto-sans-cjk-tc-bold.otf" if is_bold else "noto-sans-cjk-tc-regular.otf"
    return ImageFont.truetype(_FAMILY / name, size)


def opened(png: bytes) -> Image.Image:
    """Return a PNG with its transparency."""
    with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
        return image.convert("RGBA")
