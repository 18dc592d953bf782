"""What kind of DICOM object a file is: a plain radiograph, or something to refuse by name."""

from __future__ import annotations

from pydicom.dataset import Dataset

from mlcore.engine.films.dicom.tags import text
from mlcore.engine.films.errors import FilmError, gettext_noop

# Plain radiographs: computed, digital (some manufacturers write DR), digitised film, radiographs
# from a fluoroscopy unit, and secondary captures, whose content the scope gate checks.
ACCEPTED_MODALITIES = frozenset({"CR", "DX", "DR", "RG", "XR", "RF", "SC", "OT"})
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_FOR_PROCESSING = _STORAGE + "1.1.1"
# The SOP class is more reliable than the modality. A key stands for the classes below it too.
_CLASS_MODALITIES = {
    "1.2": "MG", "1.3": "IO", "2": "CT", "3": "US", "4": "MR", "5": "NM", "6": "US",
    "12.1": "XA", "12.3": "XA", "13.1.1": "XA", "13.1.2": "CT", "13.1.3": "MG", "13.1.4": "MG",
    "13.1.5": "MG", "14": "IVOCT", "20": "NM", "77.1.1": "ES", "77.1.2": "GM", "77.1.3": "SM",
    "77.1.4": "XC", "77.1.5": "OP", "77.1.6": "SM", "77.1.7": "DMS", "77.1.8": "SM",
    "128": "PT", "130": "PT", "481.1": "RTIMAGE", "481.23": "RTIMAGE", "481.24": "RTIMAGE",
}  # fmt: skip
_REPORT = gettext_noop("structured report")
_DOCUMENT = gettext_noop("document")
_STATE = gettext_noop("presentation state")
_WAVEFORM = gettext_noop("waveform recording")
_THERAPY = gettext_noop("radiotherapy object")
_SEGMENTATION = gettext_noop("segmentation or registration")
_MODEL = gettext_noop("3D model")
_MEASUREMENT = gettext_noop("set of measurements")
_CLASS_KINDS = {
    "104.1": gettext_noop("PDF document"),
    "104.2": _DOCUMENT,
    "104": _MODEL,
    "88.59": gettext_noop("list of key images"),
    "88": _REPORT,
    "11": _STATE,
    "9": _WAVEFORM,
    "66": _SEGMENTATION,
    "67": _MEASUREMENT,
    "68": _MODEL,
    "78": _MEASUREMENT,
    "79": _MEASUREMENT,
    "80": _MEASUREMENT,
    "90": _MEASUREMENT,
    "91": _MEASUREMENT,
    "200": _DOCUMENT,
    "481": _THERAPY,
}
_MODALITY_KINDS = {
    "DOC": _DOCUMENT, "SR": _REPORT, "PR": _STATE, "KO": _CLASS_KINDS["88.59"], "M3D": _MODEL,
    "SEG": _SEGMENTATION, "REG": _SEGMENTATION, "ECG": _WAVEFORM, "HD": _WAVEFORM,
    "EPS": _WAVEFORM, "AU": _WAVEFORM, "RTDOSE": _THERAPY, "RTPLAN": _THERAPY,
    "RTSTRUCT": _THERAPY, "RTRECORD": _THERAPY,
}  # fmt: skip
_DIRECTORY_CLASS = "1.2.840.10008.1.3.10"


def check_kind(dataset: Dataset, modality: str | None) -> None:
    """Refuse everything but plain radiographs. Files that state no kind pass.

    Args:
        dataset: the data set with its file meta information.
        modality: Modality, upper case.

    Raises:
        FilmError: not_an_xray, wrong_modality or for_processing.
    """
    sop_class = text(dataset, "SOPClassUID") or text(dataset.file_meta, "MediaStorageSOPClassUID")
    sop_class = sop_class or ""
    if sop_class == _DIRECTORY_CLASS or "DirectoryRecordSequence" in dataset:
        raise FilmError("not_an_xray", kind=gettext_noop("DICOMDIR directory"))
    kind = _by_class(_CLASS_KINDS, sop_class)
    other = _by_class(_CLASS_MODALITIES, sop_class)
    if "EncapsulatedDocument" in dataset and not kind:
        kind = _document_kind(dataset)
    if other:
        raise FilmError("wrong_modality", modality=other)
    kind = kind or (_MODALITY_KINDS.get(modality or "") if "PixelData" not in dataset else None)
    if kind:
        raise FilmError("not_an_xray", kind=kind)
    if modality and modality not in ACCEPTED_MODALITIES:
        raise FilmError("wrong_modality", modality=modality)
    intent = (text(dataset, "PresentationIntentType") or "").upper()
    if sop_class == _FOR_PROCESSING or intent == "FOR PROCESSING":
        raise FilmError("for_processing")


def _document_kind(dataset: Dataset) -> str:
    mime = (text(dataset, "MIMETypeOfEncapsulatedDocument") or "").lower()
    return _CLASS_KINDS["104.1"] if mime == "application/pdf" else _DOCUMENT


def _by_class(table: dict[str, str], sop_class: str) -> str | None:
    """Return the entry of the class itself or of the nearest class above it."""
    if not sop_class.startswith(_STORAGE):
        return None
    arcs = sop_class.removeprefix(_STORAGE).split(".")
    keys = (".".join(arcs[:count]) for count in range(len(arcs), 0, -1))
    return next((table[key] for key in keys if key in table), None)
