"""What the listener accepts: SOP classes and transfer syntaxes."""

from pydicom.uid import UID
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    StorageCommitmentPushModel,
    Verification,
)

from exchange.orders.worklist import handlers as worklist
from mlcore.engine.films.dicom.pixels import readable_syntaxes

# Images for processing and of several frames are taken, and kept out with the reason: a machine
# that is refused them would go on sending them.
IMAGES = [
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
    MultiFrameSingleBitSecondaryCaptureImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
]


def accepted() -> list[PresentationContext]:
    """Return the presentation contexts that peers may propose."""
    images: list[str | UID] = [*readable_syntaxes()]
    own = (Verification, StorageCommitmentPushModel, *worklist.CONTEXTS)
    services = [build_context(uid) for uid in own]
    return [*services, *(build_context(uid, images) for uid in IMAGES)]
