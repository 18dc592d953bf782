"""Answering searches: studies, series and films of the readings that a user may see.

The patient's details are those of the readings, as their doctors corrected them. Where several
readings are of the same film, the newest one that the user may see speaks for it; of a study, its
newest film does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from django.db.models import Q, QuerySet
from pydicom.datadict import tag_for_keyword
from pydicom.uid import SecondaryCaptureImageStorage

from diagnosis.models import Reading
from exchange import uids
from exchange.dicomweb import headers
from exchange.dicomweb.models import FilmHeader
from exchange.dicomweb.names import shown_name
from exchange.dicomweb.objects import has_own_header
from exchange.dicomweb.queries import CAPTURE_MODALITY, Level, Query
from exchange.outgoing.objects.context import SERIES_DESCRIPTIONS, SERIES_NUMBERS, Kind

Row = dict[str, Any]
CHUNK = 500
# What a row of a level has without being asked for (PS3.18, tables 10.6.3-3 to -5).
_STUDY = ("StudyTime", "StudyID", "ReferringPhysicianName", "TimezoneOffsetFromUTC")
_SERIES = (
    "SeriesNumber", "SeriesDescription", "TimezoneOffsetFromUTC",
    "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
    "RequestAttributesSequence",
)  # fmt: skip
_FILM = ("InstanceNumber", "Rows", "Columns", "BitsAllocated", "NumberOfFrames")
# Fields that rows are made from; without the activation map, the largest.
FIELDS = (
    "id", "doctor_id", "team_id", "created_at", "patient_name", "patient_number",
    "patient_age_years", "patient_birth_date", "patient_sex", "exam_date", "film_sha256",
    "film_format", "film_width", "film_height", "film_modality", "film_view", "film_body_part",
    "film_patient", "film_study_uid", "film_series_uid", "film_instance_uid",
    "film_sop_class_uid", "header_disowned",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """The answer to a search.

    Attributes:
        rows: data sets in DICOM JSON.
        readings: the readings that they show.
        has_more: whether further ones match beyond the limit.
    """

    rows: list[Row]
    readings: list[Reading]
    has_more: bool


def search(
    readings: QuerySet[Reading], level: Level, query: Query, *, within: Q, root: str
) -> Found:
    """Search.

    Args:
        readings: those that the user may see.
        level: what a row of the answer is.
        query: what is asked for.
        within: the condition of the study or series in which to search.
        root: the absolute address of the service, for Retrieve URL.
    """
    matching = readings.filter(within).filter(query.conditions)
    firsts, has_more = _firsts(matching, level, query)
    if level == "instances":
        related = {key: [reading] for key, reading in firsts.items()}
    else:
        related = _related(readings, firsts, level)
    shown = [reading for several in related.values() for reading in several]
    kept = headers.with_headers(firsts.values())
    rows = []
    for key, reading in firsts.items():
        maker = _Row(reading, kept.get(reading.pk), related[key], root)
        rows.append(maker.made(level, query))
    return Found(rows, shown, has_more)


def newest_of_each(readings: Iterable[Reading]) -> list[Reading]:
    """Return one reading for each film, the first: several doctors may have read the same."""
    found: dict[str, Reading] = {}
    for reading in readings:
        found.setdefault(uids.instance_uid(reading), reading)
    return list(found.values())


_UIDS = ("pk", "film_study_uid", "film_series_uid", "film_instance_uid", "header_disowned")
_KEYS: dict[str, Callable[[Reading], str]] = {
    "studies": uids.study_uid,
    "series": uids.series_uid,
    "instances": uids.instance_uid,
}


def _firsts(
    matching: QuerySet[Reading], level: Level, query: Query
) -> tuple[dict[str, Reading], bool]:
    """Return the newest reading of each study, series or film of the page asked for.

    Readings are looked at in the order of an index until the page is full.
    """
    key_of, end = _KEYS[level], query.offset + query.limit
    found: dict[str, Any] = {}
    has_more = False
    # Plain rows: a page far down the list passes many.
    rows = matching.order_by("-created_at", "-id").values_list(*_UIDS, named=True)
    for row in rows.iterator(chunk_size=min(CHUNK, end + 1)):
        key = key_of(cast(Reading, row))
        if key in found:
            continue
        if len(found) == end:
            has_more = True
            break
        found[key] = row.pk
    page = dict(list(found.items())[query.offset :])
    loaded = matching.only(*FIELDS).in_bulk(list(page.values()))
    return {key: loaded[pk] for key, pk in page.items() if pk in loaded}, has_more


def _related(
    readings: QuerySet[Reading], firsts: dict[str, Reading], level: Level
) -> dict[str, list[Reading]]:
    """Return every film of each study or series, newest first."""
    key_of = _KEYS[level]
    column = "film_study_uid" if level == "studies" else "film_series_uid"
    stated = [key for key, first in firsts.items() if key == getattr(first, column)]
    found: dict[str, list[Reading]] = defaultdict(list)
    for start in range(0, len(stated), CHUNK):
        # The index has no films without UIDs.
        some = readings.filter(
            ~Q(**{column: ""}), **{f"{column}__in": stated[start : start + CHUNK]}
        )
        for reading in some.filter(header_disowned=False).order_by().only(*FIELDS):
            found[key_of(reading)].append(reading)
    for several in found.values():
        several.sort(key=lambda reading: (reading.created_at, reading.pk), reverse=True)
    for key, first in firsts.items():
        found[key] = newest_of_each(found.get(key) or [first])
    return found


class _Row:
    """Makes the row of one study, series or film."""

    def __init__(
        self, reading: Reading, header: FilmHeader | None, films: Sequence[Reading], root: str
    ) -> None:
        self.reading, self.films, self.root = reading, films, root
        self.name = header.name if header is not None else ""
        self.kept: Row = header.attributes if header is not None else {}
        if not has_own_header(reading):
            self.kept = CAPTURED
        self.row: Row = {"00080005": element("CS", "ISO_IR 192")}

    def made(self, level: Level, query: Query) -> Row:
        address = f"{self.root}/studies/{uids.study_uid(self.reading)}"
        everything = query.everything
        self._add_study(everything)
        if level == "studies":
            self._add_counts()
        if level != "studies":
            address += f"/series/{uids.series_uid(self.reading)}"
            self._add_series(everything, with_count=level == "series")
        if level == "instances":
            address += f"/instances/{uids.instance_uid(self.reading)}"
            self._add_film(everything)
        for keyword in self.kept:
            if tag_of(keyword) in query.included:
                self.row.setdefault(tag_of(keyword), self.kept[keyword])
        self.row["00081190"] = element("UR", address)
        return dict(sorted(self.row.items()))

    def _add(self, keywords: Iterable[str]) -> None:
        for keyword in keywords:
            if keyword in self.kept:
                self.row[tag_of(keyword)] = self.kept[keyword]

    def _add_study(self, everything: bool) -> None:
        reading = self.reading
        birth = reading.patient_birth_date
        stated = {} if reading.header_disowned else reading.film_patient or {}
        groups = shown_name(reading, self.name)
        self.row |= {
            "00080020": element("DA", f"{reading.exam_date:%Y%m%d}"),
            "00080050": element("SH", stated.get("accession_number")),
            "00080056": element("CS", "ONLINE"),
            "00100010": {"vr": "PN", "Value": [groups]} if groups else {"vr": "PN"},
            "00100020": element("LO", reading.patient_number),
            "00100030": element("DA", f"{birth:%Y%m%d}" if birth else ""),
            "00100040": element("CS", reading.patient_sex),
            "00101010": element("AS", f"{reading.patient_age_years:03d}Y"),
            "0020000D": element("UI", uids.study_uid(reading)),
        }
        for keyword in _STUDY[:3]:  # returned although empty
            self.row[tag_of(keyword)] = {"vr": _VRS[keyword]}
        self._add([*_STUDY, *(headers.STUDY if everything else ())])

    def _add_counts(self) -> None:
        series = {uids.series_uid(film) for film in self.films}
        modalities = sorted({modality_of(film) for film in self.films})
        self.row["00080061"] = {"vr": "CS", "Value": modalities}
        self.row["00201206"] = element("IS", len(series))
        self.row["00201208"] = element("IS", len(self.films))

    def _add_series(self, everything: bool, *, with_count: bool) -> None:
        self.row["00080060"] = element("CS", modality_of(self.reading))
        self.row["0020000E"] = element("UI", uids.series_uid(self.reading))
        if with_count:
            self.row["00201209"] = element("IS", len(self.films))
        self._add([*_SERIES, *(headers.SERIES if everything else ())])

    def _add_film(self, everything: bool) -> None:
        self.row["00080016"] = element("UI", sop_class_of(self.reading))
        self.row["00080018"] = element("UI", uids.instance_uid(self.reading))
        self.row["00280010"] = element("US", self.reading.film_height)
        self.row["00280011"] = element("US", self.reading.film_width)
        self._add([headers.SYNTAX, *_FILM, *(headers.FILM if everything else ())])


_VRS = {"StudyTime": "TM", "StudyID": "SH", "ReferringPhysicianName": "PN"}


def element(vr: str, value: Any) -> Row:
    """Return an element in DICOM JSON, empty without a value."""
    return {"vr": vr, "Value": [value]} if value not in (None, "") else {"vr": vr}


def tag_of(keyword: str) -> str:
    return f"{tag_for_keyword(keyword) or 0:08X}"


def modality_of(reading: Reading) -> str:
    own = reading.film_modality if has_own_header(reading) else ""
    return own or CAPTURE_MODALITY


def sop_class_of(reading: Reading) -> str:
    own = reading.film_sop_class_uid if has_own_header(reading) else ""
    return own or str(SecondaryCaptureImageStorage)


# What the Secondary Capture of a film states.
CAPTURED: Row = {
    "ImageType": {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY", "OTHER"]},
    headers.SYNTAX: element("UI", "1.2.840.10008.1.2.1"),
    "SeriesDescription": element("LO", SERIES_DESCRIPTIONS[Kind.FILM]),
    "SeriesNumber": element("IS", SERIES_NUMBERS[Kind.FILM]),
    "InstanceNumber": element("IS", 1),
    "SamplesPerPixel": element("US", 1),
    "PhotometricInterpretation": element("CS", "MONOCHROME2"),
    "BitsAllocated": element("US", 8),
    "BitsStored": element("US", 8),
}
