"""View and body part of a film, from codes and from words as vendors write them."""

from __future__ import annotations

import re
from itertools import pairwise

from pydicom.dataset import Dataset

from mlcore.engine.films.dicom.tags import PYDICOM_ERRORS, text

# CID 4010 (DX view), in SNOMED CT and in the older SNOMED RT: the views of the chest.
_VIEW_CODES = {
    **dict.fromkeys(("272479007", "R-40888", "R-10214"), "PA"),
    **dict.fromkeys(("399348003", "R-10206"), "AP"),
    **dict.fromkeys(("399173006", "R-10236"), "LL"),
    **dict.fromkeys(("399198007", "R-10232"), "RL"),
    **dict.fromkeys(("399067008", "R-102CD", "30730003", "G-A145"), "LATERAL"),
}
# CID 4009 and CID 4031, with the codes that older editions used.
_CHEST_CODES = frozenset(
    {"816094009", "51185008", "43799004", "T-D3000", "39607008", "T-28000", "302551006", "T-D3200"}
)
_VIEW_WORDS = {
    **dict.fromkeys(("PA", "POSTEROANTERIOR", "POSTANT", "DORSOVENTRAL"), "PA"),
    **dict.fromkeys(("AP", "ANTEROPOSTERIOR", "ANTPOST", "VENTRODORSAL"), "AP"),
    **dict.fromkeys(("LL", "LLAT", "LTLAT", "LATL", "LEFTLATERAL", "LLATERAL", "LATERALL"), "LL"),
    **dict.fromkeys(("RL", "RLAT", "RTLAT", "LATR", "RIGHTLATERAL", "RLATERAL", "LATERALR"), "RL"),
    **dict.fromkeys(
        (
            *("LAT", "LATERAL", "LATERALE", "LATERALIS", "LATERAAL", "PROFIL", "PERFIL"),
            *("SEITLICH", "SEITE", "BOCZNE", "BOCZNA", "SAGITTAL", "側位", "側面", "侧位", "측면"),
        ),
        "LATERAL",
    ),
    **dict.fromkeys(("OBL", "OBLIQUE", "OBLIQUA", "OBLICUA", "SCHRAEG"), "OBLIQUE"),
    **dict.fromkeys(("LLD", "RLD", "DECUB", "DECUBITUS"), "DECUBITUS"),
    **{word: word for word in ("LAO", "RAO", "LPO", "RPO", "LLO", "RLO", "LORDOTIC")},
}
_FRONTAL = frozenset({"PA", "AP"})
_CHEST_WORDS = frozenset(
    {"CHEST", "THORAX", "TORAX", "TÓRAX", "TORACE", "TORACIC", "THORACIC", "THORAKS", "THX", "CXR"}
    | {"LUNG", "LUNGS", "LUNGE", "PULMON", "PULMÓN", "POUMON", "POUMONS", "PULMO", "BRUST"}
    | {"BRUSTKORB", "胸部", "胸腔", "胸", "흉부", "KLATKA"}
)
# What a part may be besides the chest, or instead of it.
_OTHER_PARTS = re.compile(
    r"\b(ABD|ABDOMEN|ABDO|ABDOMINAL|KUB|PELVIS|BECKEN|SPINE|TSPINE|CSPINE|LSPINE|VERTEBRAE?|WS|NECK"
    r"|HEAD|SKULL|RIBS?|STERNUM|SHOULDER|CLAVICLE|SCAPULA|HUMERUS|ARM|ELBOW|FOREARM|WRIST|HAND"
    r"|FINGER|THUMB|HIP|FEMUR|THIGH|KNEE|LEG|TIBIA|ANKLE|FOOT|TOE|CALCANEUS|HEART|BREAST|EXTREMITY"
    r"|WHOLEBODY|WHOLE BODY|BABYGRAM|ESOPHAGUS|OESOPHAGUS|STOMACH|BOWEL|COLON|JAW|SINUS)\b"
)
_WORDS = re.compile(r"[^\W_]+")
# "PAERECT", "ChestPA".
_GLUED = re.compile(
    r"(?:CHEST|THORAX|TORAX)?(PA|AP|LAT|LATERAL|LL|RL)"
    r"(?:ERECT|UPRIGHT|STANDING|SITTING|SUPINE|PORTABLE|MOBILE)?"
)
# Strings about this image; series and protocol may be shared by several views of an exam.
_IMAGE_STRINGS = ("AcquisitionDeviceProcessingDescription", "BodyPartExamined")
_SERIES_STRINGS = ("SeriesDescription", "ProtocolName", "PerformedProcedureStepDescription")


def view(dataset: Dataset) -> str | None:
    """Return PA, AP, LL, RL, LATERAL, OBLIQUE, ..., or ViewPosition as written if unrecognised.

    Several elements may state the view. One that is not frontal counts, because a lateral film
    stated as frontal by default is commoner than the reverse. Strings that name several views, and
    those of series, are used only where nothing else states the view.
    """
    written = text(dataset, "ViewPosition")
    stated = [
        view_in(written or ""),
        _coded_view(dataset),
        *(view_in(text(dataset, keyword) or "") for keyword in _IMAGE_STRINGS),
    ]
    found = [name for name in stated if name]
    if written and not stated[0]:
        return next((name for name in found if name not in _FRONTAL), written.upper())
    if not found:
        found = [name for k in _SERIES_STRINGS if (name := view_in(text(dataset, k) or ""))]
    if not found and _is_turned_to_the_side(dataset):
        return "LATERAL"
    return next((name for name in found if name not in _FRONTAL), found[0] if found else None)


def view_in(written: str) -> str | None:
    """Return the view that a string names; None if it names none or several.

    Example:
        >>> view_in("CHEST, PA ERECT"), view_in("Thorax lateral"), view_in("PA + LAT")
        ('PA', 'LATERAL', None)
    """
    words = [
        glued[1] if (glued := _GLUED.fullmatch(word)) else word
        for word in _WORDS.findall(written.upper())
    ]
    pairs = [one + other for one, other in pairwise(words)]
    found = {_VIEW_WORDS[word] for word in (*words, *pairs) if word in _VIEW_WORDS}
    if found & _FRONTAL and len(found) > 1:
        # "AP supine decubitus" and "lordotic AP" are special views; "PA LAT" are two.
        special = found - _FRONTAL
        if special & {"LL", "RL", "LATERAL"} or len(found & _FRONTAL) > 1:
            return None
        return sorted(special)[0]
    if len(found) > 1 and "LATERAL" in found:
        found.discard("LATERAL")  # "left lateral" is a lateral too
    return sorted(found)[0] if found else None


def body_part(dataset: Dataset) -> str | None:
    """Return CHEST for a chest, otherwise what is stated, upper case; None if nothing is.

    If several elements state the part and one of them is no chest, that one is returned.
    """
    found = [
        part
        for part in (
            part_in(text(dataset, "BodyPartExamined") or "") or None,
            _coded_part(dataset),
        )
        if part
    ]
    if not found:
        return _part_named(text(dataset, _IMAGE_STRINGS[0]) or "")
    return next((part for part in found if part != "CHEST"), found[0])


def part_in(written: str) -> str:
    """Return CHEST if a string names the chest and no other part, otherwise itself, upper case."""
    upper = written.upper()
    words = _WORDS.findall(upper)
    if _CHEST_WORDS & set(words) and not _OTHER_PARTS.search(" ".join(words)):
        return "CHEST"
    return upper


def _part_named(written: str) -> str | None:
    """Return the part in a description, which may be about something else altogether."""
    part = part_in(written)
    other = _OTHER_PARTS.search(" ".join(_WORDS.findall(part)))
    return part if part == "CHEST" else (other and other[0])


def _coded_view(dataset: Dataset) -> str | None:
    code, meaning = _code(dataset, "ViewCodeSequence")
    if code in _VIEW_CODES:
        return _VIEW_CODES[code]
    if meaning and "OBLIQUE" in meaning.upper():
        return "OBLIQUE"
    named = view_in(meaning or "")
    # Any other coded view, such as "axial", is not a chest view.
    other = meaning and meaning.upper() not in ("FRONTAL", "CORONAL")
    return named or (meaning.upper() if meaning and other else None)


def _coded_part(dataset: Dataset) -> str | None:
    code, meaning = _code(dataset, "AnatomicRegionSequence")
    if code in _CHEST_CODES:
        return "CHEST"
    return part_in(meaning) if meaning else None


def _code(dataset: Dataset, keyword: str) -> tuple[str | None, str | None]:
    """Return value and meaning of the first code in a sequence."""
    try:
        items = dataset.get(keyword)
        if not items:
            return None, None
        item = items[0]
    except PYDICOM_ERRORS:
        return None, None
    return text(item, "CodeValue") or text(item, "LongCodeValue"), text(item, "CodeMeaning")


def _is_turned_to_the_side(dataset: Dataset) -> bool:
    """Return whether the rows of the image run from the front to the back of the patient."""
    try:
        directions = dataset.get("PatientOrientation")
        return len(directions) == 2 and str(directions[0])[:1] in ("A", "P")
    except (*PYDICOM_ERRORS, TypeError):
        return False
