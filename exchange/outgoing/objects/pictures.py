"""Secondary Captures: the film with the heatmap and its legend, and a film that was not DICOM."""

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from highdicom.sc import SCImage
from PIL import Image
from pydicom.dataset import Dataset

from diagnosis.services.report_pdf import MAP_OPACITY
from exchange.outgoing.objects import legend
from exchange.outgoing.objects.context import LANGUAGES, Context, Kind
from exchange.outgoing.objects.header import UTF8, put
from exchange.outgoing.objects.structured import SUPPORT
from mlcore import inference

# Longest side of the film in the picture with the heatmap, in pixels.
FILM_SIDE: Final = 1200
LOSSY: Final = {"JPEG": "ISO_10918_1"}


def film_capture(context: Context) -> Dataset:
    """Return a film that came as a JPEG or another picture, as it was read, under made UIDs."""
    made = _capture(context, context.film.pixels, "MONOCHROME2", Kind.FILM)
    made.ImageType = ["ORIGINAL", "PRIMARY", "OTHER"]
    made.ImageComments = (
        "Made from the uploaded file; not the modality's image. The UIDs of study, series and "
        "image are generated."
    )
    made.ConversionType = "WSD"
    method = LOSSY.get(context.reading.film_format)
    made.LossyImageCompression = "01" if method else "00"
    if method:
        made.LossyImageCompressionMethod = method
        made.LossyImageCompressionRatio = _ratio(context)
    put(made, "WindowCenter", "128")
    put(made, "WindowWidth", "256")
    return made


def _ratio(context: Context) -> str:
    pixels = context.film.pixels.size
    return f"{max(1.0, pixels / max(1, context.reading.film_bytes)):.2f}"


def map_capture(context: Context) -> Dataset:
    """Return the film under the heatmap, with the result and a legend in both languages."""
    made = _capture(context, _picture(context), "RGB", Kind.PICTURE)
    made.ImageType = ["DERIVED", "SECONDARY", "OTHER"]
    made.ConversionType = "WSD"
    made.ImageComments = SUPPORT
    made.DerivationDescription = f"Heatmap of {context.reading.model_name} over the X-ray"[:1024]
    source = Dataset()
    source.ReferencedSOPClassUID = context.header.SOPClassUID
    source.ReferencedSOPInstanceUID = context.header.SOPInstanceUID
    made.SourceImageSequence = [source]
    made.LossyImageCompression = "00"
    return made


def _capture(
    context: Context, pixels: npt.NDArray[np.uint8], photometric: str, kind: Kind
) -> Dataset:
    header = context.unnamed
    arguments: dict[str, Any] = {
        name: header.get(keyword, "")
        for name, keyword in {
            "study_instance_uid": "StudyInstanceUID", "patient_id": "PatientID",
            "patient_name": "PatientName", "patient_birth_date": "PatientBirthDate",
            "patient_sex": "PatientSex", "accession_number": "AccessionNumber",
            "study_id": "StudyID", "study_date": "StudyDate", "study_time": "StudyTime",
            "referring_physician_name": "ReferringPhysicianName",
        }.items()
    }  # fmt: skip
    made = SCImage(
        pixel_array=np.ascontiguousarray(pixels),
        photometric_interpretation=photometric,
        bits_allocated=8,
        coordinate_system="PATIENT",
        patient_orientation=("L", "F"),
        specific_character_set=UTF8,
        **arguments,
        **context.series(kind),
    )
    # Only what the file states: an uploaded picture states none, and may be mirrored.
    put(made, "PatientOrientation", header.get("PatientOrientation", ""))
    put(made, "BodyPartExamined", "CHEST")
    return made


def _picture(context: Context) -> npt.NDArray[np.uint8]:
    film = Image.fromarray(context.film.pixels).convert("RGB")
    scale = FILM_SIDE / max(film.size)
    size = (max(1, round(film.width * scale)), max(1, round(film.height * scale)))
    film = film.resize(size, Image.Resampling.LANCZOS)
    evidence = inference.decode_activation_map(bytes(context.reading.activation_map))
    overlay = legend.opened(inference.render_heatmap(evidence, *size))
    alpha = overlay.getchannel("A").point(lambda value: round(value * MAP_OPACITY))
    film.paste(overlay.convert("RGB"), mask=alpha)
    texts = [context.texts[language] for language in LANGUAGES]
    model = f"{context.reading.model_name} · {context.reading.bundle_sha256[:16]}"
    above, below = legend.lines_of(texts, model)
    height = max(size[1], legend.height_of(above, below))
    page = Image.new("RGB", (size[0] + legend.WIDTH, height), legend.BACKGROUND)
    page.paste(film, (0, (height - size[1]) // 2))
    ends = [[each.legend.weak, each.legend.strong] for each in texts if each.legend]
    weak, strong = (" ".join(words) for words in zip(*ends, strict=True))
    legend.draw(page, size[0] + legend.MARGIN, above, below, weak=weak, strong=strong)
    return np.asarray(page, np.uint8)
