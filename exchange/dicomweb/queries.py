"""A search of QIDO-RS (PS3.18, 8.3.4 and 10.6), as conditions on readings."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from django.db.models import Q, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.lookups import GreaterThanOrEqual, LessThanOrEqual
from django.http import QueryDict
from django.utils.translation import gettext as _
from pydicom.datadict import keyword_for_tag, tag_for_keyword

from diagnosis.models import Sex
from diagnosis.search import search_key
from exchange import uids
from exchange.dicomweb import headers
from exchange.dicomweb.names import pattern_of

Level = Literal["studies", "series", "instances"]
DEFAULT_LIMIT, MAX_LIMIT = 200, 1000
MAX_VALUE, MAX_UIDS = 250, 100
# Each multiplies the ways in which a text may be found not to match.
MAX_STARS = 3
_TAG = re.compile(r"[0-9a-fA-F]{8}")
_UID = re.compile(r"[0-9.]{1,64}")
_DATE = re.compile(r"(\d{4})(\d\d)(\d\d)")
# Parameters that are no attributes.
_CONTROLS = frozenset({"limit", "offset", "fuzzymatching", "includefield", "accept", "token"})
CAPTURE_MODALITY = "OT"


class BadQueryError(Exception):
    """Raised for a search that is malformed; says why, in the active language."""


@dataclass
class Query:
    """What a search asks for.

    Attributes:
        conditions: which readings match.
        limit, offset: which of the matches to return.
        included: further elements to return, by tag; `everything` for all that are kept.
        warnings: what was not done, as sentences of the standard.
    """

    conditions: Q = field(default_factory=Q)
    limit: int = DEFAULT_LIMIT
    offset: int = 0
    included: set[str] = field(default_factory=set)
    everything: bool = False
    warnings: list[str] = field(default_factory=list)


def parse_query(parameters: QueryDict) -> Query:
    """Return what the parameters of a search ask for.

    Raises:
        BadQueryError: they are malformed, or name an attribute that does not exist.
    """
    query = Query()
    query.limit = min(_number(parameters, "limit", DEFAULT_LIMIT), MAX_LIMIT)
    query.offset = _number(parameters, "offset", 0)
    if parameters.get("fuzzymatching", "").lower() == "true":
        query.warnings.append(
            "The fuzzymatching parameter is not supported. "
            "Only literal matching has been performed."
        )
    _include(query, parameters.getlist("includefield"))
    unmatched = []
    for name in parameters:
        if name in _CONTROLS:
            continue
        keyword = _keyword(name)
        query.included.add(_tag_of(keyword))
        value = str(parameters[name]).strip()
        if not value or value == "*":
            continue
        if len(value) > MAX_VALUE and not keyword.endswith("UID"):
            raise BadQueryError(_("The value of %(name)s is too long.") % {"name": keyword})
        if value.count("*") > MAX_STARS:
            raise BadQueryError(
                _("A value has at most %(count)d wildcards *.") % {"count": MAX_STARS}
            )
        condition = _condition(keyword, value)
        if condition is None:
            unmatched.append(keyword)
        else:
            query.conditions &= condition
    if unmatched:
        query.warnings.append(
            "These attributes are not supported for matching and were ignored: "
            + ", ".join(unmatched)
        )
    return query


def of_path(study: str = "", series: str = "", instance: str = "") -> Q:
    """Return the condition of the films below an address."""
    condition = Q()
    for uid, of in (
        (study, uids.in_study),
        (series, uids.in_series),
        (instance, uids.of_instance),
    ):
        if uid:
            condition &= of(uid)
    return condition


def _number(parameters: QueryDict, name: str, default: int) -> int:
    text = parameters.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadQueryError(_("%(name)s must be a whole number.") % {"name": name})
    return int(text)


def _include(query: Query, fields: list[str]) -> None:
    for text in ",".join(fields).split(","):
        if text == "all":
            query.everything = True
        elif text:
            query.included.add(_tag_of(_keyword(text.split(".")[0])))


def _keyword(name: str) -> str:
    """Return the keyword of an attribute, given by keyword or tag.

    Raises:
        BadQueryError: there is no such attribute.
    """
    if _TAG.fullmatch(name):
        # A private or unknown attribute is none that could match or be included.
        return keyword_for_tag(int(name, 16)) or name.upper()
    if "." in name:  # an attribute of a sequence's item
        return ".".join(_keyword(part) for part in name.split("."))
    if tag_for_keyword(name) is None:
        raise BadQueryError(_("%(name)s is no attribute of DICOM.") % {"name": name[:64]})
    return name


def _tag_of(keyword: str) -> str:
    if _TAG.fullmatch(keyword):
        return keyword
    tag = tag_for_keyword(keyword.split(".")[0])
    return f"{tag or 0:08X}"


def _condition(keyword: str, value: str) -> Q | None:
    """Return the condition that an attribute has a value; None if it cannot be asked for."""
    match = _MATCHES.get(keyword)
    if match is not None:
        return match(value)
    if keyword in _KEPT:
        return _kept(keyword, value)
    return None


def _uid_list(of: Callable[[str], Q]) -> Callable[[str], Q]:
    def match(value: str) -> Q:
        values = [uid for uid in re.split(r"[,\\]", value) if uid]
        if not values or len(values) > MAX_UIDS or not all(map(_UID.fullmatch, values)):
            raise BadQueryError(_("A list of UIDs is malformed."))
        condition = Q(pk__in=[])
        for uid in values:
            condition |= of(uid)
        return condition

    return match


def _name(value: str) -> Q:
    pattern = pattern_of(value)
    in_file = Q(film_header__name_key__regex=pattern)
    if not set(value) & set("*?"):
        plain = " ".join(value.replace("^", " ").replace("=", " ").split())
        return Q(patient_name_key=search_key(plain)) | in_file
    return Q(patient_name_key__regex=pattern) | in_file


def _patient_id(value: str) -> Q:
    if not set(value) & set("*?"):
        return Q(patient_number_key=search_key(value))
    return Q(patient_number_key__regex=pattern_of(value))


def _date_range(column: str) -> Callable[[str], Q]:
    def match(value: str) -> Q:
        start, dash, end = value.partition("-")
        if not dash:
            return Q(**{column: _date(start)})
        condition = Q()
        if start:
            condition &= Q(**{f"{column}__gte": _date(start)})
        if end:
            condition &= Q(**{f"{column}__lte": _date(end)})
        return condition

    return match


def _date(text: str) -> datetime.date:
    match = _DATE.fullmatch(text)
    try:
        return datetime.date(*map(int, match.groups())) if match else _bad_date(text)
    except ValueError:
        return _bad_date(text)


def _bad_date(text: str) -> datetime.date:
    raise BadQueryError(_("%(value)s is no date. Write dates as YYYYMMDD.") % {"value": text[:20]})


def _sex(value: str) -> Q:
    return Q(patient_sex=value.upper() if value.upper() in Sex.values else "-")


def _modality(value: str) -> Q:
    own, condition = Q(header_disowned=False), Q(pk__in=[])
    for modality in re.split(r"[,\\]", value.upper()):
        if set(modality) & set("*?"):
            condition |= own & Q(film_modality__iregex=pattern_of(modality))
        else:
            condition |= own & Q(film_modality=modality)
        if re.fullmatch(pattern_of(modality), CAPTURE_MODALITY.lower()):
            condition |= Q(film_modality="") | ~own
    return condition


def _sop_class(value: str) -> Q:
    from pydicom.uid import SecondaryCaptureImageStorage

    def of(uid: str) -> Q:
        condition = Q(film_sop_class_uid=uid, header_disowned=False)
        if uid == SecondaryCaptureImageStorage:
            condition |= Q(film_sop_class_uid="") | Q(header_disowned=True)
        return condition

    return _uid_list(of)(value)


def _accession(value: str) -> Q:
    return _text_of("film_patient__accession_number", value) & Q(header_disowned=False)


def _text_of(column: str, value: str) -> Q:
    if set(value) & set("*?"):
        return Q(**{f"{column}__iregex": pattern_of(value)})
    return Q(**{column: value})


def _kept(keyword: str, value: str) -> Q:
    """Match what the file's header states, as far as it is kept."""
    column = f"film_header__attributes__{keyword}__Value__0"
    if keyword == "ReferringPhysicianName":
        groups = Q(pk__in=[])
        for group in ("Alphabetic", "Ideographic", "Phonetic"):
            groups |= Q(**{f"{column}__{group}__iregex": pattern_of(value)})
        return groups & Q(header_disowned=False)
    if keyword in _RANGES and "-" in value:
        start, _dash, end = value.partition("-")
        in_header = KeyTransform(keyword, "film_header__attributes")
        stated = KeyTextTransform("0", KeyTransform("Value", in_header))
        # Times and dates compare as texts, whatever their precision.
        condition = Q(GreaterThanOrEqual(stated, Value(start or "0")))
        return condition & Q(LessThanOrEqual(stated, Value(f"{end or '9'}~")))
    condition = _text_of(column, value)
    if value.isascii() and value.lstrip("-").isdigit():
        condition |= Q(**{column: int(value)})
    return condition & Q(header_disowned=False)


_RANGES = frozenset(
    {"StudyTime", "PerformedProcedureStepStartTime", "PerformedProcedureStepStartDate"}
)
_KEPT = frozenset({*headers.STUDY, *headers.SERIES, *headers.FILM}) - {"RequestAttributesSequence"}
_MATCHES: Mapping[str, Callable[[str], Q]] = {
    "StudyInstanceUID": _uid_list(uids.in_study),
    "SeriesInstanceUID": _uid_list(uids.in_series),
    "SOPInstanceUID": _uid_list(uids.of_instance),
    "SOPClassUID": _sop_class,
    "PatientName": _name,
    "PatientID": _patient_id,
    "PatientSex": _sex,
    "PatientBirthDate": _date_range("patient_birth_date"),
    "StudyDate": _date_range("exam_date"),
    "Modality": _modality,
    "ModalitiesInStudy": _modality,
    "AccessionNumber": _accession,
}
