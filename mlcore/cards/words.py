"""Display texts for the codes and fixed phrases that a model card contains.

A card is written once, in English, and its bundle's hash covers it. The texts here translate its
codes and phrases for the reader, so that a card never has to change.
"""

import re

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

Text = str | Promise

LABELS: dict[str, Text] = {
    "NORMAL": pgettext_lazy("reading", "Normal"),
    "PNEUMONIA": pgettext_lazy("reading", "Pneumonia"),
}

# The results of the rule of decision, in the order of its figures.
RESULTS: dict[str, Text] = {
    "PNEUMONIA": pgettext_lazy("reading", "Pneumonia"),
    "UNSURE": pgettext_lazy("reading", "Inconclusive"),
    "NORMAL": pgettext_lazy("reading", "Normal"),
}
WITH: dict[str, Text] = {
    "PNEUMONIA": _("With pneumonia"),
    "NORMAL": _("Without pneumonia"),
}
FILMS_WITH: dict[str, Text] = {
    "PNEUMONIA": _("X-rays with pneumonia"),
    "NORMAL": _("X-rays without pneumonia"),
}

SETS: dict[str, Text] = {
    "train": _("Training set"),
    "validation": _("Validation set"),
    "test": _("Test set"),
}

# Of a model that was derived for a site: both sets are the same X-rays of that site.
DERIVED_SETS: dict[str, Text] = {
    "validation": _("Site's X-rays, limits fitted to them"),
    "test": _("Site's X-rays, cross-fitted"),
}

# Key of a metric: its name, and what it measures.
MEASURES: dict[str, tuple[Text, Text]] = {
    "auc": (
        "AUC",
        _(
            "Chance that a random X-ray with pneumonia gets a higher probability than a random "
            "normal one."
        ),
    ),
    "sick_called_pneumonia": (
        _("With pneumonia, called pneumonia"),
        _("Proportion of X-rays with pneumonia whose result is pneumonia."),
    ),
    "sick_unsure": (
        _("With pneumonia, inconclusive"),
        _("Proportion of X-rays with pneumonia that are left to you."),
    ),
    "sick_called_normal": (
        _("With pneumonia, called normal"),
        _("Proportion of X-rays with pneumonia whose result is normal: false negatives."),
    ),
    "well_called_normal": (
        _("Without pneumonia, called normal"),
        _("Proportion of X-rays without pneumonia whose result is normal."),
    ),
    "well_unsure": (
        _("Without pneumonia, inconclusive"),
        _("Proportion of X-rays without pneumonia that are left to you."),
    ),
    "well_called_pneumonia": (
        _("Without pneumonia, called pneumonia"),
        _("Proportion of X-rays without pneumonia whose result is pneumonia: false positives."),
    ),
    "accuracy": (
        _("Accuracy at the ranking threshold"),
        _("Proportion of all X-rays on the correct side of it."),
    ),
    "sensitivity": (
        _("Sensitivity at the ranking threshold"),
        _("Proportion of X-rays with pneumonia at or above it."),
    ),
    "specificity": (
        _("Specificity at the ranking threshold"),
        _("Proportion of X-rays without pneumonia below it."),
    ),
    "ppv": (
        _("Positive predictive value at the ranking threshold"),
        _("Proportion of X-rays at or above it that show pneumonia, at the set's own prevalence."),
    ),
    "npv": (
        _("Negative predictive value at the ranking threshold"),
        _("Proportion of X-rays below it without pneumonia, at the set's own prevalence."),
    ),
    "ece": (
        _("Calibration error (ECE)"),
        _("Mean difference between the probability and the observed frequency. 0 is best."),
    ),
    "brier": (
        _("Brier score"),
        _("Mean squared difference between the probability and the outcome. 0 is best."),
    ),
    "coverage": (
        _("Not misclassified (including inconclusive)"),
        _("Proportion of X-rays that are classified correctly or are inconclusive."),
    ),
    "unsure_rate": (_("Inconclusive"), _("Proportion of X-rays that the model leaves to you.")),
    "accuracy_when_sure": (
        _("Accuracy excluding inconclusive results"),
        _("Proportion of the other X-rays that are classified correctly."),
    ),
    "out_of_scope_rate": (
        _("Flagged as out of scope"),
        _("Proportion of X-rays from the intended population that still get no result."),
    ),
}

SERIES: dict[str, Text] = {
    "bacteria": _("Bacterial pneumonia"),
    "virus": _("Viral pneumonia"),
    "IM": _("Normal X-rays, file series IM"),
    "NORMAL2-IM": _("Normal X-rays, file series NORMAL2-IM"),
}


def measure_of(series: str) -> Text:
    """Return what is known of a series, whose X-rays all have one label."""
    return FILMS_WITH["PNEUMONIA" if series in {"bacteria", "virus"} else "NORMAL"]


SCOPE_SETS: dict[str, Text] = {
    "paediatric test films": _("Children's X-rays, test set (should pass)"),
    "adult test films": _("Adults' X-rays, test set (should be flagged)"),
    "rotated or upside-down films": _("Rotated or upside-down X-rays (should be flagged)"),
    "synthetic images": _("Images that are not chest X-rays (should be flagged)"),
    # As in cards of earlier versions, such as pneumonia-2.
    "paediatric films held out": _("Children's X-rays, test set (should pass)"),
    "adult films held out": _("Adults' X-rays, test set (should be flagged)"),
    "turned or upside-down films": _("Rotated or upside-down X-rays (should be flagged)"),
    "pictures that are no chest film": _("Images that are not chest X-rays (should be flagged)"),
}
# The names of these sets contain the name of a source.
SCOPE_SETS_BY_SOURCE: dict[re.Pattern[str], Text] = {
    re.compile(r"adult test films of (?P<source>.+)"): _(
        "Adults' X-rays from %(source)s, test set (should be flagged)"
    ),
    re.compile(r"adults of (?P<source>.+), left out of training"): _(
        "Adults' X-rays from %(source)s, with a classifier trained without this source (should be "
        "flagged)"
    ),
}


def scope_set(name: str) -> Text:
    """Return what a set of images that the out-of-scope check was measured on is called."""
    for pattern, text in SCOPE_SETS_BY_SOURCE.items():
        if found := pattern.fullmatch(name):
            return str(text) % found.groupdict()
    return SCOPE_SETS.get(name, name)


# Key of a probe: what is done to the image, and how to interpret the AUC.
PROBES: dict[str, tuple[Text, Text]] = {
    "none": (_("Original X-rays"), _("Baseline for the other rows.")),
    "lungs_masked": (
        _("Lungs masked"),
        _(
            "The areas that could show pneumonia are masked, so an AUC above 0.5 comes from"
            " elsewhere in the image."
        ),
    ),
    "frame_masked": (
        _("Borders masked"),
        _("The lungs are fully visible, so the AUC should hardly change."),
    ),
    "corners_masked": (
        _("Corners masked"),
        _("Letters and markers are masked, so the AUC should hardly change."),
    ),
    "frame_alone": (
        _("Borders only"),
        _("No lung is visible, so a model without shortcuts would score about 0.5."),
    ),
}

CORRUPTIONS: dict[str, Text] = {
    "exposure": _("Over- or underexposure"),
    "contrast": _("Reduced contrast"),
    "gamma": _("Changed gamma"),
    "blur": _("Blur"),
    "noise": _("Noise"),
    "jpeg": _("JPEG compression"),
    "crop": _("Tighter crop"),
    "rotation": _("Rotation"),
    "marker": _("Added marker letter"),
}

# Label in the data set, and the result of the model.
FAILURES: dict[tuple[str, str], Text] = {
    ("PNEUMONIA", "NORMAL"): _("False negatives: pneumonia classified as normal"),
    ("NORMAL", "PNEUMONIA"): _("False positives: normal classified as pneumonia"),
    ("PNEUMONIA", "UNSURE"): _("Pneumonia, inconclusive"),
    ("NORMAL", "UNSURE"): _("Normal, inconclusive"),
    ("PNEUMONIA", "OUT_OF_SCOPE"): _("Pneumonia, flagged as out of scope"),
    ("NORMAL", "OUT_OF_SCOPE"): _("Normal, flagged as out of scope"),
}

PLACES: dict[str, Text] = {
    "upper_left": _("strongest in the upper left of the image"),
    "upper_right": _("strongest in the upper right of the image"),
    "lower_left": _("strongest in the lower left of the image"),
    "lower_right": _("strongest in the lower right of the image"),
    "middle": _("strongest in the middle of the image"),
}

TRAITS: dict[str, Text] = {
    "bright_edge": _("bright borders"),
    "dark_edge": _("dark borders"),
    "flat": _("low contrast"),
    "high_contrast": _("high contrast"),
    "sharp": _("sharp"),
    "blurred": _("blurred"),
}

# Name of a plot's file: its title, and how to read it. The text in the image itself is English.
PLOTS: dict[str, tuple[Text, Text]] = {
    "curves": (
        _("Training curves"),
        _(
            "Horizontal axis: epoch. Left axis: loss on the training set (blue) and on the"
            " validation set (orange). Right axis: AUC on the validation set (dashed). One line"
            " per ensemble member."
        ),
    ),
    "roc": (
        _("ROC curve, test set"),
        _(
            "Horizontal axis: 1 − specificity. Vertical axis: sensitivity. The dot marks the"
            " ranking threshold, which decides no result."
        ),
    ),
    "reliability": (
        _("Reliability diagram, test set"),
        _(
            "Horizontal axis: probability of pneumonia given by the model. Vertical axis:"
            " proportion of X-rays with pneumonia, with confidence intervals. Points on the"
            " dotted line are perfectly calibrated."
        ),
    ),
    "confusion": (
        _("Confusion matrix, test set"),
        _(
            "Rows: label in the data set. Columns: side of the ranking threshold, which decides no"
            " result."
        ),
    ),
}


# What refused images are, and what they are said to resemble; by the names of
# `mlcore.engine.serving.resemblance`.
REFUSED = {
    "inside": _("Children of the population"),
    "adult": _("Adults"),
    "rotated": _("Rotated or upside down"),
    "cropped": _("Part of an X-ray"),
    "other": _("Other images"),
}
RESEMBLED = {
    "adult": _("Adult"),
    "rotated": _("Rotated"),
    "cropped": _("Part"),
    "too_dark": _("Too dark"),
    "too_bright": _("Too bright"),
    "": _("No specific reason"),
}
