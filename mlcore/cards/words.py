"""What the codes of a model card are called on pages, in the reader's language."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Text = str | Promise

SETS: dict[str, Text] = {
    "train": _("Learnt from"),
    "validation": _("Validation"),
    "test": _("Held out"),
}

# Name, and what it means.
MEASURES: dict[str, tuple[Text, Text]] = {
    "auc": (
        "AUC",
        _("The chance that a sick child's film gets a higher probability than a healthy one's."),
    ),
    "accuracy": (_("Accuracy"), _("Of all films, the share called rightly.")),
    "sensitivity": (
        _("Sensitivity"),
        _("Of the films with pneumonia, the share called pneumonia."),
    ),
    "specificity": (_("Specificity"), _("Of the normal films, the share called normal.")),
    "ppv": (
        _("Positive predictive value"),
        _("Of the films called pneumonia, the share that show it; falls where few are sick."),
    ),
    "npv": (
        _("Negative predictive value"),
        _("Of the films called normal, the share that are; rises where few are sick."),
    ),
    "ece": (
        _("Calibration error (ECE)"),
        _("How far, on average, a stated probability is from how often it came true. 0 is best."),
    ),
    "brier": (
        _("Brier score"),
        _("Mean squared distance of the probability from what was the case. 0 is best."),
    ),
    "coverage": (
        _("Not called the wrong label"),
        _("Share of films called rightly or answered “unsure”."),
    ),
    "unsure_rate": (_("Answered “unsure”"), _("Share of films that the model leaves to you.")),
    "accuracy_when_sure": (
        _("Accuracy when sure"),
        _("Of the films that it does call, the share called rightly."),
    ),
    "out_of_scope_rate": (
        _("Flagged as out of scope"),
        _("Share of films of the right population that the gate refuses all the same."),
    ),
}

SERIES: dict[str, Text] = {
    "bacteria": _("Bacterial pneumonia"),
    "virus": _("Viral pneumonia"),
    "IM": _("Normal films, numbering series IM"),
    "NORMAL2-IM": _("Normal films, numbering series NORMAL2-IM"),
}


def measure_of(series: str) -> Text:
    """What the accuracy within a series is: its films are all of one label."""
    return MEASURES["sensitivity" if series in {"bacteria", "virus"} else "specificity"][0]


SCOPE_SETS: dict[str, Text] = {
    "paediatric films held out": _("Children's films, held out (should pass)"),
    "adult films held out": _("Adults' films, held out (should be refused)"),
    "turned or upside-down films": _("Films turned or upside down (should be refused)"),
    "pictures that are no chest film": _("Pictures that are no chest film (should be refused)"),
}

PROBES: dict[str, tuple[Text, Text]] = {
    "none": (_("Films as they are"), _("What the others are to be compared with.")),
    "lungs_masked": (
        _("Lungs covered"),
        _("What could show pneumonia is gone; whatever is left above 0.5 was read elsewhere."),
    ),
    "frame_masked": (
        _("Edge covered"),
        _("The lungs are all there, so the AUC should hardly fall."),
    ),
    "corners_masked": (
        _("Corners covered"),
        _("Letters and markers are gone, so the AUC should hardly fall."),
    ),
    "frame_alone": (
        _("Edge alone"),
        _("No lung is to be seen; a model without shortcuts would be near 0.5."),
    ),
}

CORRUPTIONS: dict[str, Text] = {
    "exposure": _("Over- or underexposed"),
    "contrast": _("Less contrast"),
    "gamma": _("Another grey curve"),
    "blur": _("Blurred"),
    "noise": _("Grainy"),
    "jpeg": _("Compressed (JPEG)"),
    "crop": _("Cropped closer"),
    "rotation": _("Tilted"),
    "marker": _("A letter added"),
}

# (what the film shows, what it was called)
FAILURES: dict[tuple[str, str], Text] = {
    ("PNEUMONIA", "NORMAL"): _("Missed: pneumonia called normal"),
    ("NORMAL", "PNEUMONIA"): _("False alarms: normal called pneumonia"),
    ("PNEUMONIA", "UNSURE"): _("Pneumonia left to the doctor as unsure"),
    ("NORMAL", "UNSURE"): _("Normal left to the doctor as unsure"),
    ("PNEUMONIA", "OUT_OF_SCOPE"): _("Pneumonia refused as out of scope"),
    ("NORMAL", "OUT_OF_SCOPE"): _("Normal refused as out of scope"),
}

PLACES: dict[str, Text] = {
    "upper_left": _("strongest at the upper left of the picture"),
    "upper_right": _("strongest at the upper right of the picture"),
    "lower_left": _("strongest at the lower left of the picture"),
    "lower_right": _("strongest at the lower right of the picture"),
    "middle": _("strongest in the middle of the picture"),
}

TRAITS: dict[str, Text] = {
    "bright_edge": _("bright edge"),
    "dark_edge": _("dark edge"),
    "flat": _("little contrast"),
    "high_contrast": _("much contrast"),
    "sharp": _("sharp"),
    "blurred": _("blurred"),
}

PLOTS: dict[str, Text] = {
    "curves": _("Loss and accuracy over the epochs of training"),
    "roc": _("ROC curve of the held-out films"),
    "reliability": _("Stated probability against how often it came true, held-out films"),
    "confusion": _("What held-out films were, and what they were called"),
}
