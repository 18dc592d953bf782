"""What the objects of one version of a result have in common."""

import datetime
import hashlib
import json
import uuid
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone, translation
from pydicom.dataset import Dataset

import xraysite
from diagnosis.models import Opinion, Reading, Stage
from diagnosis.services.report_content import ReportContent, report_content
from exchange import uids
from exchange.outgoing.objects.header import header_of, put, zone_of
from mlcore.engine.films.film import Film
from xraysite.common.dates import roc_years

MANUFACTURER: Final = "xraysite"
# What the objects repeat of the header, as it is.
REPEATED: Final = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientAge", "ReferringPhysicianName",
    "StudyDate", "StudyTime", "StudyID", "AccessionNumber", "StudyDescription",
)  # fmt: skip
# Raise it when the same result is written differently: the objects then get new UIDs.
FORMAT: Final = 1
LANGUAGES: Final = ("zh-hant", "en")


class Kind(StrEnum):
    """The objects of a reading; the value is stored, and part of UIDs."""

    FILM = "film"
    REPORT = "sr"
    PICTURE = "sc"
    MAP = "seg"
    DOCUMENT = "pdf"


# Far from those of modalities, whose series come first.
SERIES_NUMBERS: Final = {
    Kind.FILM: 9000, Kind.REPORT: 9001, Kind.PICTURE: 9002, Kind.MAP: 9003, Kind.DOCUMENT: 9004,
}  # fmt: skip
SERIES_DESCRIPTIONS: Final = {
    Kind.FILM: "X-ray (uploaded file)",
    Kind.REPORT: "AI result, decision support",
    Kind.PICTURE: "AI heatmap, decision support",
    Kind.MAP: "AI heatmap values, decision support",
    Kind.DOCUMENT: "Report",
}


@dataclass(frozen=True)
class Context:
    """One version of a reading's result, as the objects state it.

    Attributes:
        reading: the reading, with `doctor` and `model_version`.
        film: the decoded film.
        opinions: the signed opinion and its addenda, oldest first.
        texts: the report's texts, by language.
        version: SHA-256 of everything that the objects state; another version has other UIDs.
        at: when the result was last changed, in the objects' time zone.
        header: see `header_of`.
        has_source: see `header_of`.
    """

    reading: Reading
    film: Film
    opinions: list[Opinion]
    texts: dict[str, ReportContent]
    version: str
    at: datetime.datetime
    header: Dataset
    has_source: bool

    @cached_property
    def unnamed(self) -> Dataset:
        """The header without names and numbers, for highdicom.

        It warns of names without a given name, and refuses what is too long. Those are repeated as
        they are, by `finishing.finished`.
        """
        header = Dataset()
        header.update(self.header)
        for keyword in REPEATED:
            if keyword in header:
                put(header, keyword, "")
        return header

    @property
    def of_film(self) -> "Context":
        """What the film alone states: nothing of the result, and the same in all versions."""
        return without_result(self.reading, self.film, self.header, has_source=self.has_source)

    @property
    def revision(self) -> int:
        """The number of the version; each signed opinion or addendum makes another one."""
        return 1 + len(self.opinions)

    def instance_uid(self, kind: Kind) -> str:
        """Return the SOP Instance UID of an object."""
        if kind == Kind.FILM:
            return uids.instance_uid(self.reading)
        return uid_of(self.reading, kind, self.version)

    def series_uid(self, kind: Kind) -> str:
        """Return the Series Instance UID of an object, the same for all versions."""
        if kind == Kind.FILM:
            return uids.series_uid(self.reading)
        return uid_of(self.reading, kind, "series")

    def series(self, kind: Kind) -> dict[str, Any]:
        """Return the arguments of highdicom's classes about series, instance and equipment."""
        return {
            "series_instance_uid": self.series_uid(kind),
            "series_number": SERIES_NUMBERS[kind],
            "sop_instance_uid": self.instance_uid(kind),
            "instance_number": 1 if kind == Kind.FILM else self.revision,
            "manufacturer": MANUFACTURER,
            "series_description": SERIES_DESCRIPTIONS[kind],
        } | equipment(self.reading)


def equipment(reading: Reading) -> dict[str, Any]:
    """Return what identifies the software and the model, for highdicom's classes."""
    return {
        "manufacturer_model_name": f"xraysite {reading.model_name}"[:64],
        "device_serial_number": reading.bundle_sha256,
        "software_versions": [f"xraysite {xraysite.__version__}", reading.model_name],
    }


def uid_of(reading: Reading, *parts: str) -> str:
    """Return a UID that is always the same for the same reading and parts (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(reading.pk, '/'.join(parts)).int}"


def context_of(reading: Reading, original: bytes, film: Film) -> Context:
    """Return the current version of a reading's result.

    Args:
        reading: the reading, with `doctor` and `model_version`.
        original: the uploaded file.
        film: what it decodes to.
    """
    opinions = signed_opinions(reading)
    texts = texts_of(reading)
    header, has_source = header_of(reading, original)
    at = opinions[-1].recorded_at if opinions else reading.created_at
    return Context(
        reading=reading,
        film=film,
        opinions=opinions,
        texts=texts,
        version=_version(reading, opinions, texts, header),
        at=at.astimezone(zone_of(header)).replace(microsecond=0),
        header=header,
        has_source=has_source,
    )


def without_result(reading: Reading, film: Film, header: Dataset, *, has_source: bool) -> Context:
    """Return what the film of a reading states, whoever may see the result."""
    at = reading.created_at.astimezone(zone_of(header)).replace(microsecond=0)
    return Context(reading, film, [], {}, "", at, header, has_source)


def signed_opinions(reading: Reading) -> list[Opinion]:
    """Return the signed opinion and its addenda, oldest first."""
    signed = Opinion.objects.filter(reading=reading, stage__in=[Stage.SIGNED, Stage.ADDENDUM])
    return list(signed.select_related("author").order_by("recorded_at", "id"))


def texts_of(reading: Reading) -> dict[str, ReportContent]:
    """Return the report's texts in both languages and the site's time zone."""
    found = {}
    for language in LANGUAGES:
        zone = ZoneInfo(settings.TIME_ZONE)
        with translation.override(language), timezone.override(zone), roc_years(False):
            found[language] = report_content(reading, with_map=True)
    return found


def _version(
    reading: Reading, opinions: list[Opinion], texts: dict[str, ReportContent], header: Dataset
) -> str:
    stated = {
        "format": FORMAT,
        "software": xraysite.__version__,
        "header": header.to_json_dict(suppress_invalid_tags=True),
        "texts": {language: asdict(content) for language, content in texts.items()},
        "model": [reading.model_name, reading.bundle_sha256],
        "result": [
            reading.label, reading.probabilities, reading.limits, reading.scope_reasons,
            hashlib.sha256(bytes(reading.activation_map)).hexdigest(),
        ],
        "opinions": [
            [each.pk, each.verdict, each.findings, each.confidence, each.note, each.author_id]
            for each in opinions
        ],
    }  # fmt: skip
    content = json.dumps(stated, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(content.encode()).hexdigest()
