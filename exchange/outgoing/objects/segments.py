"""The heatmap's values as a fractional Segmentation over the source image.

A Parametric Map would fit the meaning better, but it needs a frame of reference and positions in
the patient, which a projection radiograph does not have. A Segmentation does not need them.
"""

import numpy as np
import numpy.typing as npt
from highdicom import AlgorithmIdentificationSequence
from highdicom.seg import (
    Segmentation,
    SegmentationFractionalTypeValues,
    SegmentationTypeValues,
    SegmentDescription,
)
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from exchange.outgoing import codes as ours
from exchange.outgoing.objects.context import Context, Kind, uid_of
from exchange.outgoing.objects.header import UTF8, put
from mlcore import inference

DESCRIPTION = (
    "Class activation: how strongly an area supports pneumonia, relative to X-rays without "
    "pneumonia. It is not a probability. Coarse, and not validated against marked lesions. "
    "Decision support, not a diagnosis."
)


def segmentation(context: Context) -> Dataset:
    """Return the heatmap's values, 0 to 255, at the size of the source image."""
    made = Segmentation(
        source_images=[context.unnamed],
        pixel_array=_values(context),
        segmentation_type=SegmentationTypeValues.FRACTIONAL,
        segment_descriptions=[_segment(context)],
        fractional_type=SegmentationFractionalTypeValues.PROBABILITY,
        max_fractional_value=255,
        content_label="AI_HEATMAP",
        content_description="AI heatmap, decision support",
        omit_empty_frames=False,
        specific_character_set=UTF8,
        **context.series(Kind.MAP),
    )
    put(made, "PatientOrientation", context.header.get("PatientOrientation", ""))
    put(made.SegmentSequence[0], "SegmentDescription", DESCRIPTION)
    return made


def _values(context: Context) -> npt.NDArray[np.float32]:
    """Return the activation map in [0, 1] at the image's size, smooth as on the page."""
    evidence = inference.decode_activation_map(bytes(context.reading.activation_map))
    cells = Image.fromarray(np.asarray(evidence, np.float32))
    size = (int(context.header.Columns), int(context.header.Rows))
    smooth = np.asarray(cells.resize(size, Image.Resampling.BICUBIC), np.float32)
    return np.clip(smooth, 0, 1)[np.newaxis]


def _segment(context: Context) -> SegmentDescription:
    reading = context.reading
    return SegmentDescription(
        segment_number=1,
        segment_label="Evidence for pneumonia",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=ours.PNEUMONIA,
        algorithm_type="AUTOMATIC",
        algorithm_identification=AlgorithmIdentificationSequence(
            name=reading.model_name,
            family=codes.DCM.ArtificialIntelligence,
            version=reading.bundle_sha256,
            source="xraysite",
        ),
        anatomic_regions=[ours.LUNG],
        tracking_uid=uid_of(reading, "tracking", "map"),
        tracking_id="AI heatmap",
    )
