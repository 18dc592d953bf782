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

SETS: dict[str, Text] = {
    "train": _("Training set"),
    "validation": _("Validation set"),
    "test": _("Test set"),
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
    "accuracy": (_("Accuracy"), _("Proportion of all X-rays classified correctly.")),
    "sensitivity": (
        _("Sensitivity"),
        _("Proportion of X-rays with pneumonia classified as pneumonia."),
    ),
    "specificity": (
        _("Specificity"),
        _("Proportion of normal X-rays classified as normal."),
    ),
    "ppv": (
        _("Positive predictive value"),
        _(
            "Proportion of X-rays classified as pneumonia that show pneumonia. Falls when"
            " prevalence is low."
        ),
    ),
    "npv": (
        _("Negative predictive value"),
        _(
            "Proportion of X-rays classified as normal that are normal. Rises when prevalence is"
            " low."
        ),
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
    """Return the name of the accuracy within a series, whose X-rays all have one label."""
    return MEASURES["sensitivity" if series in {"bacteria", "virus"} else "specificity"][0]


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
            " threshold in use."
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
        _("Rows: label in the data set. Columns: result of the model at the threshold in use."),
    ),
}

# Phrases that cards contain as text, without figures that differ between cards.
PHRASES: dict[str, Text] = {
    "Guangzhou Women and Children's Medical Center": _(
        "Guangzhou Women and Children's Medical Center"
    ),
    "by patient, duplicates kept together, stratified by label and series": _(
        "By patient, with duplicates kept in the same set, stratified by label and file series"
    ),
    "the larger of two scores: Mahalanobis distance (Ledoit-Wolf covariance) of features pooled at "
    "several depths to the nearer class mean of the training films, and a small OOD classifier "
    "trained on films outside the population and on synthetic images": _(
        "The larger of two scores: the Mahalanobis distance (Ledoit-Wolf covariance) of features"
        " pooled at several depths to the nearer class mean of the training set, and a small OOD"
        " classifier trained on X-rays from outside the population and on synthetic images"
    ),
    # The rest as in cards of earlier versions, such as pneumonia-2.
    "by patient, copies kept together, stratified by label and series": _(
        "By patient, with duplicates kept in the same set, stratified by label and file series"
    ),
    "Platt: log-odds / temperature + bias": _("Platt scaling (log-odds ÷ temperature + bias)"),
    "split-conformal, a quantile for each label (Mondrian), on the calibrated probability": _(
        "Split conformal prediction on the calibrated probability, with one quantile per label"
        " (Mondrian)"
    ),
    "Mahalanobis distance of features pooled at several depths to the nearer class mean of the "
    "training films, Ledoit-Wolf covariance": _(
        "Mahalanobis distance (Ledoit-Wolf covariance) of features pooled at several depths to"
        " the nearer class mean of the training set"
    ),
    "the larger of two: distance of features pooled at several depths to the nearer class mean of "
    "the training films (Mahalanobis, Ledoit-Wolf), and a small network that learnt films outside "
    "the population and pictures made by rule": _(
        "The larger of two scores: the Mahalanobis distance (Ledoit-Wolf covariance) of features"
        " pooled at several depths to the nearer class mean of the training set, and a small OOD"
        " classifier trained on X-rays from outside the population and on synthetic images"
    ),
}

# Phrases with figures: each named group of the pattern fills a placeholder of the text.
PATTERNS: tuple[tuple[re.Pattern[str], Text], ...] = (
    (
        re.compile(
            r"quantile (?P<distance>[\d.]+) of the distance and quantile (?P<classifier>[\d.]+) of"
            r" the OOD classifier's log-odds, on films that neither was trained on"
        ),
        _(
            "Quantile %(distance)s of the distance and quantile %(classifier)s of the OOD"
            " classifier's log-odds, on X-rays that neither was trained on"
        ),
    ),
    (
        re.compile(
            r"median over (?P<samples>\d+) bootstrap samples of the threshold that maximises"
            r" sensitivity \+ specificity, on the validation split; every film unchanged and under"
            r" one corruption"
        ),
        _(
            "median over %(samples)s bootstrap samples of the threshold that maximises"
            " sensitivity + specificity; each X-ray is used both unchanged and with one"
            " corruption"
        ),
    ),
    (
        re.compile(
            r"median over (?P<samples>\d+) bootstrap samples of the threshold that maximises"
            r" sensitivity \+ specificity, on out-of-fold predictions of (?P<networks>\d+)"
            r" ensemble members; every film unchanged and under one corruption"
        ),
        _(
            "median over %(samples)s bootstrap samples of the threshold that maximises"
            " sensitivity + specificity, on the out-of-fold predictions of %(networks)s ensemble"
            " members; each X-ray is used both unchanged and with one corruption"
        ),
    ),
    # As in cards of earlier versions, such as pneumonia-2.
    (
        re.compile(
            r"quantiles (?P<distance>[\d.]+) of the distance and (?P<classifier>[\d.]+) of the"
            r" network's log-odds, on films that neither learnt from"
        ),
        _(
            "Quantile %(distance)s of the distance and quantile %(classifier)s of the OOD"
            " classifier's log-odds, on X-rays that neither was trained on"
        ),
    ),
    (
        re.compile(r"quantile (?P<quantile>[\d.]+) of the validation films' scores"),
        _("Quantile %(quantile)s of the scores on the validation set"),
    ),
    (
        re.compile(
            r"median over (?P<samples>\d+) bootstrap samples of the place where sensitivity plus"
            r" specificity is largest"
        ),
        _(
            "median over %(samples)s bootstrap samples of the threshold that maximises"
            " sensitivity + specificity"
        ),
    ),
    (
        re.compile(
            r"median over (?P<samples>\d+) bootstrap samples of the place where sensitivity plus"
            r" specificity is largest, on the validation side of the split; every film as it is"
            r" and under one corruption"
        ),
        _(
            "median over %(samples)s bootstrap samples of the threshold that maximises"
            " sensitivity + specificity; each X-ray is used both unchanged and with one"
            " corruption"
        ),
    ),
    (
        re.compile(
            r"median over (?P<samples>\d+) bootstrap samples of the place where sensitivity plus"
            r" specificity is largest, on out-of-fold predictions of (?P<networks>\d+) networks,"
            r" each asked for the block of consecutive patients that it left out; every film as it"
            r" is and under one corruption"
        ),
        _(
            "median over %(samples)s bootstrap samples of the threshold that maximises"
            " sensitivity + specificity, on the out-of-fold predictions of %(networks)s ensemble"
            " members; each X-ray is used both unchanged and with one corruption"
        ),
    ),
)


def translated_phrase(phrase: str) -> str | None:
    """Return a phrase of a card in the active language, or None if the phrase is not known."""
    if phrase in PHRASES:
        return str(PHRASES[phrase])
    for pattern, text in PATTERNS:
        found = pattern.fullmatch(phrase)
        if found:
            return str(text) % found.groupdict()
    return None


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
