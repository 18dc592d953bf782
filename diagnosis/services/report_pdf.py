"""The PDF of a report: one A4 page, tagged (PDF/UA-1) and for archives (PDF/A-2a).

typst sets the page in this process, in a few milliseconds. It reads what is passed to it and its
fonts, no network and no other files. Why typst: decision 0054.
"""

import base64
import datetime
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import segno
import typst
from django.conf import settings
from django.utils.safestring import SafeString

from diagnosis.services.report_text import FONTS, printable

TEMPLATE = Path(__file__).with_name("report.typ")
STANDARDS: "list[typst.PDFStandard]" = ["a-2a", "ua-1"]
# As on the page: how strongly the heatmap covers the film.
MAP_OPACITY = 0.6
LOGO = Path(settings.BASE_DIR) / "static" / "img" / "favicon.svg"


class ReportError(Exception):
    """Raised when a report cannot be set; the message is for the log."""


@dataclass(frozen=True)
class Pictures:
    """The images of a report.

    Attributes:
        film: a JPEG, or None if the film is missing from the storage.
        heatmap: a transparent PNG in the film's aspect ratio, or None without one.
        width, height: the aspect ratio of the film.
    """

    film: bytes | None
    heatmap: bytes | None
    width: int
    height: int


def render_report(
    content: dict[str, Any], pictures: Pictures, *, url: str, issued_at: datetime.datetime
) -> bytes:
    """Return a report as PDF; the same arguments give the same bytes.

    Args:
        content: the texts, as `report_text.merged` returns them, and the lines about the copy as
            `copy`.
        pictures: film and heatmap.
        url: the absolute URL of the record, for the QR code.
        issued_at: when the copy is issued; the date of the document.

    Raises:
        ReportError: typst refuses the page.
    """
    texts, has_unprintable = printable(content)
    when = issued_at.astimezone(datetime.UTC)
    texts |= {"has_unprintable": has_unprintable, "url": url, "issued": list(when.timetuple()[:6])}
    files = {
        "main.typ": TEMPLATE.read_bytes(),
        "data.json": _json(texts),
        "pictures.json": _json(_about(pictures)),
        "logo.svg": LOGO.read_bytes(),
        "record.svg": code_of(url).encode(),
    }
    if pictures.film is not None:
        files["film.svg"] = _picture(pictures, with_map=False)
        files["heatmap.svg"] = _picture(pictures, with_map=True)
    return _compiled(files)


def code_of(url: str) -> SafeString:
    """Return a QR code as an SVG element."""
    return SafeString(segno.make(url, error="m").svg_inline(border=0, omitsize=True))


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _about(pictures: Pictures) -> dict[str, Any]:
    """Return what the page needs to know of the images: which there are, and their shape."""
    return {
        "film": True if pictures.film else None,
        "heatmap": True if pictures.heatmap else None,
        "width": pictures.width,
        "height": pictures.height,
    }


def _picture(pictures: Pictures, *, with_map: bool) -> bytes:
    """Return an SVG of the images: typst takes text only, and keeps a JPEG in it as it is."""
    size = f'width="{pictures.width}" height="{pictures.height}"'
    layers = [("image/jpeg", pictures.film, 1.0)]
    if with_map and pictures.heatmap is not None:
        layers.append(("image/png", pictures.heatmap, MAP_OPACITY))
    images = "".join(
        f'<image {size} opacity="{opacity}" preserveAspectRatio="none" '
        f'xlink:href="data:{kind};base64,{base64.b64encode(data or b"").decode()}"/>'
        for kind, data, opacity in layers
    )
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    box = f'viewBox="0 0 {pictures.width} {pictures.height}"'
    return f"<svg {names} {size} {box}>{images}</svg>".encode()


@cache
def _fonts() -> typst.Fonts:
    folders = [str(path) for path in sorted(FONTS.iterdir()) if path.is_dir()]
    return typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=folders)


def _compiled(files: dict[str, bytes]) -> bytes:
    try:
        compiler = typst.Compiler(
            files,  # type: ignore[type-var]  # documented; the stubs lack it
            root=str(FONTS),
            font_paths=_fonts(),
            ignore_system_fonts=True,
        )
        pdf = compiler.compile(format="pdf", pdf_standards=STANDARDS)
    except (typst.TypstError, OSError, RuntimeError) as error:
        raise ReportError(getattr(error, "diagnostic", "") or str(error)) from error
    except BaseException as error:
        # A panic in typst must not end the worker: it is no `Exception`.
        if type(error).__name__ == "PanicException":
            raise ReportError(getattr(error, "diagnostic", "") or str(error)) from error
        raise
    if not isinstance(pdf, bytes):
        raise ReportError("typst returned no single file.")
    return pdf
