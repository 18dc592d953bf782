"""Data sets in DICOM JSON, without their bulk data, and the bulk data alone (PS3.18, F)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from exchange.dicomweb.names import groups_of
from exchange.dicomweb.objects import FilmObject, decoded_name
from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS

PIXELS = "7FE00010"
# Longer binary values are left out, and can be asked for by their address.
INLINE_BYTES = 1024
BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", "OB or OW", "US or OW"})
_PATH = re.compile(r"[0-9A-F]{8}(/\d{1,4}/[0-9A-F]{8}){0,8}")


def metadata_of(film: FilmObject, address: str) -> dict[str, Any]:
    """Return a film's data set without its bulk data.

    Args:
        film: the film.
        address: the absolute address of the film, below which its bulk data are.
    """
    dataset = film.dataset
    groups = groups_of(decoded_name(dataset))  # while the name is as the file writes it
    paths = {id(element): path for path, element in _bulky(dataset)}

    def uri(element: DataElement) -> str:
        return f"{address}/bulkdata/{paths.get(id(element), f'{element.tag:08X}')}"

    found: dict[str, Any] = {}
    for tag in sorted(dataset.keys()):
        if tag.element == 0 or tag.group == 2:
            continue
        try:
            element = dataset[tag]
            if f"{tag:08X}" == PIXELS:
                found[PIXELS] = {"vr": "OW", "BulkDataURI": f"{address}/bulkdata/{PIXELS}"}
                continue
            found[f"{tag:08X}"] = element.to_json_dict(uri, INLINE_BYTES)
        except PYDICOM_ERRORS:
            continue
    found["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    found["00083002"] = {"vr": "UI", "Value": [film.syntax]}
    found["00100010"] = {"vr": "PN", "Value": [groups]} if groups else {"vr": "PN"}
    return dict(sorted(found.items()))


def bulk_value(film: FilmObject, path: str) -> bytes | None:
    """Return a binary value of a film; None if there is none at this path.

    Args:
        film: the film.
        path: tags and places of items, such as "00283010/0/00283006".
    """
    if path == PIXELS:
        return film.native_frame()
    if not _PATH.fullmatch(path):
        return None
    dataset: Any = film.dataset
    steps = path.split("/")
    try:
        for tag, place in zip(steps[:-1:2], steps[1::2], strict=True):
            dataset = dataset[int(tag, 16)].value[int(place)]
        value = dataset[int(steps[-1], 16)].value
    except PYDICOM_ERRORS:
        return None
    return value if isinstance(value, bytes) else None


def _bulky(dataset: Dataset, prefix: str = "") -> Iterator[tuple[str, DataElement]]:
    """Yield the binary elements of a data set and its sequences, with their paths."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except PYDICOM_ERRORS:
            continue
        path = f"{prefix}{tag:08X}"
        if element.VR == "SQ":
            for place, item in enumerate(element.value):
                yield from _bulky(item, f"{path}/{place}/")
        elif element.VR in BINARY:
            yield path, element
