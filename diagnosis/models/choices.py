"""The choices of readings' fields, and the rule that compares doctor and model."""

from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class Label(models.TextChoices):
    """A model's result under the decision rule of its card."""

    NORMAL = "NORMAL", pgettext_lazy("reading", "Normal")
    PNEUMONIA = "PNEUMONIA", pgettext_lazy("reading", "Pneumonia")
    UNSURE = "UNSURE", pgettext_lazy("reading", "Inconclusive")
    OUT_OF_SCOPE = "OUT_OF_SCOPE", pgettext_lazy("reading", "Out of scope")


class Verdict(models.TextChoices):
    """A doctor's own assessment of the same film."""

    NORMAL = "NORMAL", pgettext_lazy("doctor's assessment", "Normal")
    PNEUMONIA = "PNEUMONIA", pgettext_lazy("doctor's assessment", "Pneumonia")
    OTHER = "OTHER", pgettext_lazy("doctor's assessment", "Other finding")
    CANNOT_TELL = "CANNOT_TELL", pgettext_lazy("doctor's assessment", "Cannot tell")


class Agreement(models.TextChoices):
    """Whether doctor and model agree; defined only where both chose normal or pneumonia."""

    AGREE = "AGREE", _("Doctor and model agree")
    DISAGREE = "DISAGREE", _("Doctor and model disagree")


class SecondState(models.TextChoices):
    """How far the second reading of an X-ray has come; none without one."""

    HELD = "HELD", _("may be read by a second doctor once it is signed")
    WAITS = "WAITS", _("waits for a second reading")
    SPLIT = "SPLIT", _("waits for an arbiter")
    DONE = "DONE", _("read by two doctors")


# The colleagues, one of whom will be the second reader, see neither opinion nor result.
INDEPENDENT = (SecondState.HELD, SecondState.WAITS)
# Nothing leaves the site until both readers, and the arbiter if they differ, have spoken.
UNSETTLED = (*INDEPENDENT, SecondState.SPLIT)


class AgeScope(models.TextChoices):
    """Whether the patient's age is in the range that the model was validated on."""

    INSIDE = "INSIDE", _("Within the validated age range")
    OUTSIDE = "OUTSIDE", _("Outside the validated age range")


class Sex(models.TextChoices):
    """The patient's sex, by the codes of DICOM."""

    FEMALE = "F", pgettext_lazy("sex", "Female")
    MALE = "M", pgettext_lazy("sex", "Male")
    OTHER = "O", pgettext_lazy("sex", "Other")


class HidingReason(models.TextChoices):
    """Why a doctor deleted a reading; it decides how long the reading is kept."""

    NOT_NEEDED = "NOT_NEEDED", _("The reading is no longer needed")
    MISTAKE = "MISTAKE", _("Created by mistake: wrong patient or wrong X-ray")


# The order in which waiting X-rays are worked through: those whose result is withheld come after
# the urgent ones, whatever it is, and every other result comes last.
URGENCIES = {Label.PNEUMONIA: 0, Label.UNSURE: 1}
URGENCY_WITHHELD = 2
NOT_URGENT = 3


# By the codes of `mlcore.inference.Prediction.scope_reasons`.
SCOPE_REASONS = {
    "picture": _(
        "The image does not look like the X-rays that the model was validated on, and nothing more "
        "specific can be said. Check that it is an upright frontal chest X-ray."
    ),
    "population": _("The model's card does not state for which patients it was validated."),
    "age": _("The patient's age is outside the range that the model was validated on."),
    "modality": _("The model was not validated on the modality stated in the file."),
    "view": _("The model was not validated on this view."),
    "body_part": _("The file states that the image shows another body part."),
}


# By the codes of `mlcore.inference.Prediction.resembles`: instead of the sentence for "picture".
RESEMBLANCES = {
    "adult": _(
        "The image looks like the chest X-ray of an adult. The model was validated on young "
        "children only. Check that this is the right patient."
    ),
    "no_lungs": _(
        "No lungs were found on this image. Check that it is an upright frontal chest X-ray that "
        "shows both lungs."
    ),
    "one_lung": _(
        "Only one lung was found, and the model needs both. A lung that is almost completely "
        "opaque may not be found, so look at the X-ray yourself first. If a lung is cut off, "
        "export the whole X-ray or repeat it."
    ),
    "rotated": _(
        "The image looks rotated or upside down. Export it upright from the viewer of your "
        "hospital and upload it again."
    ),
    "cropped": _(
        "The image looks like a part of a chest X-ray. Upload the whole X-ray, with both lungs."
    ),
    "too_dark": _(
        "Almost all of the image is dark. Adjust the window in the viewer of your hospital, or "
        "upload the original DICOM file."
    ),
    "too_bright": _(
        "Almost all of the image is bright. Adjust the window in the viewer of your hospital, or "
        "upload the original DICOM file."
    ),
}


# By the codes of `mlcore.inference.Prediction.hints`.
IMAGE_HINTS = {
    "cut_off": _("A lung may be cut off at the edge of the image."),
    "too_small": _("The lungs take up only a small part of the image; collimate to the chest."),
    "tilted": _("The chest appears tilted in the image."),
    "overexposed": _(
        "Large parts of the lungs are completely black: the image may be overexposed."
    ),
    "underexposed": _(
        "Large parts of the lungs are completely white: the image may be underexposed."
    ),
}


def agreement_of(label: str, verdict: str) -> str:
    """Return how a doctor's finding compares with a model's result.

    Args:
        label: a `Label`.
        verdict: a `Verdict`, or "" if the doctor recorded none.

    Returns:
        An `Agreement`, or "" unless both are normal or pneumonia.
    """
    comparable = {Label.NORMAL, Label.PNEUMONIA}
    if label not in comparable or verdict not in comparable:
        return ""
    return Agreement.AGREE if label == verdict else Agreement.DISAGREE
