"""Which form of an answer a client accepts (PS3.18, 8.7.4 and 8.7.5)."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeVar

from django.http import HttpRequest
from django.utils.http import parse_header_parameters
from django.utils.translation import gettext as _

JSON_TYPES = ("application/dicom+json", "application/json")
DICOM, OCTETS, MULTIPART = "application/dicom", "application/octet-stream", "multipart/related"
ANY = "*/*"
# Media types of compressed frames by transfer syntax (PS3.18, table 8.7.3-5).
FRAME_TYPES = {
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
}
# What is meant where a media type is given without a transfer syntax.
DEFAULT_SYNTAXES = {
    DICOM: "1.2.840.10008.1.2.1",
    OCTETS: "1.2.840.10008.1.2.1",
    "image/jpeg": "1.2.840.10008.1.2.4.70",
    "image/jls": "1.2.840.10008.1.2.4.80",
    "image/jp2": "1.2.840.10008.1.2.4.90",
    "image/jphc": "1.2.840.10008.1.2.4.201",
    "image/dicom-rle": "1.2.840.10008.1.2.5",
}
_PARTS = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*")+')
# More alternatives are not looked at.
MAX_RANGES = 50

FoundT = TypeVar("FoundT")


class NotAcceptableError(Exception):
    """Raised when nothing that the client accepts can be given.

    Args:
        available: the media types that can be.
    """

    def __init__(self, available: Collection[str]) -> None:
        super().__init__(available)
        self.available = list(dict.fromkeys(available))

    def __str__(self) -> str:
        """Return the message for the client, in the active language."""
        return _("None of the accepted media types is available. Available: %(types)s.") % {
            "types": ", ".join(self.available)
        }


@dataclass(frozen=True)
class Wanted:
    """A form that the client accepts.

    Attributes:
        type: the media type of the content, or of each part: "*/*" for any.
        syntax: the transfer syntax: "*" for any, "" if none is given.
        is_multipart: whether the content comes in parts; None if that does not matter.
    """

    type: str
    syntax: str = ""
    is_multipart: bool | None = False


def wanted(request: HttpRequest) -> list[Wanted]:
    """Return what the client accepts, the preferred first.

    The parameter `accept` comes before the header. Without either, everything is accepted.
    """
    header = ",".join(filter(None, (request.GET.get("accept"), request.headers.get("Accept"))))
    found = []
    for text in _PARTS.findall(header)[:MAX_RANGES]:
        media_type, params = parse_header_parameters(text.strip())
        if media_type and (quality := _quality(params.get("q", "1"))) > 0:
            found.append((quality, _wanted(media_type, params)))
    if not found:
        return [Wanted(ANY, "*", None)]
    return [each for _quality_, each in sorted(found, key=lambda pair: -pair[0])]


def chosen(
    request: HttpRequest, choose: Callable[[Wanted], FoundT | None], available: Collection[str]
) -> FoundT:
    """Return the first form that `choose` can give.

    Raises:
        NotAcceptableError: there is none.
    """
    for each in wanted(request):
        if (found := choose(each)) is not None:
            return found
    raise NotAcceptableError(available)


def json_type(request: HttpRequest) -> str:
    """Return the media type of an answer in DICOM JSON.

    Raises:
        NotAcceptableError: the client accepts XML only, for example.
    """

    def choose(each: Wanted) -> str | None:
        if each.is_multipart:
            return None
        if each.type in (ANY, "application/*"):
            return JSON_TYPES[0]
        return each.type if each.type in JSON_TYPES else None

    return chosen(request, choose, JSON_TYPES)


def _wanted(media_type: str, params: dict[str, str]) -> Wanted:
    syntax = params.get("transfer-syntax", "").strip('"')
    if media_type in (MULTIPART, "multipart/*"):
        return Wanted(params.get("type", ANY).strip('"').lower() or ANY, syntax, True)
    if media_type == ANY:
        return Wanted(ANY, syntax or "*", None)
    return Wanted(media_type, syntax, False)


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 1.0
