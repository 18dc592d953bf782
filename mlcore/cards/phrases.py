"""Translations of the phrases that a model card or an evaluation contains as text.

A card is written once, in English, and its bundle's hash covers it, so its phrases are translated
for the reader here.
"""

import re

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Text = str | Promise

# Phrases that cards contain as text, without figures that differ between cards.
PHRASES: dict[str, Text] = {
    # Titles and notes of evaluations that ship with a model.
    "Official test split": _("Official test split"),
    "Official test split, half": _("Official test split, half"),
    "Measured outside this project, after the model was finished. Only figures at the ranking "
    "threshold were reported; the rule of decision was not measured.": _(
        "Measured outside this project, after the model was finished. Only figures at the ranking"
        " threshold were reported; the rule of decision was not measured."
    ),
    "Half of the patients of the official test split, chosen at random. Recipes for later models "
    "were chosen on it; this model was finished before.": _(
        "Half of the patients of the official test split, chosen at random. Recipes for later"
        " models were chosen on it; this model was finished before."
    ),
    # Source and licence of a population, see `engine.data.population`.
    "not stated": _("not stated"),
    # Reasons for the shipped overrides of activation gates.
    "Of 642 adults' X-rays of the COVID-19 image collection, 80.4% are refused by a scope"
    " classifier that was trained without this source (limit 95%). Trained with it, as "
    "shipped, it refuses 97.0% of 233 held-out ones. An X-ray of an adult from a hospital"
    " unlike the three sources can get a label, so the patient's age is checked as well.": _(
        "Of 642 adults' X-rays of the COVID-19 image collection, 80.4% are refused by a "
        "scope classifier that was trained without this source (limit 95%). Trained with "
        "it, as shipped, it refuses 97.0% of 233 held-out ones. An X-ray of an adult from"
        " a hospital unlike the three sources can get a label, so the patient's age is "
        "checked as well."
    ),
    "On half of the official test split 7.5% of the X-rays are refused (limit 5%); of the"
    " held-out X-rays 2.5%. The scope gate was not made more permissive, because an "
    "adult's X-ray that gets a label does more harm than a child's X-ray that gets none.": _(
        "On half of the official test split 7.5% of the X-rays are refused (limit 5%); of"
        " the held-out X-rays 2.5%. The scope gate was not made more permissive, because "
        "an adult's X-ray that gets a label does more harm than a child's X-ray that gets"
        " none."
    ),
    "On half of the official test split, 14.6% of the films labelled NORMAL are called "
    "PNEUMONIA (limit 10%). The model was shipped before this limit existed; result pages "
    "and the model card state the error rates of each set.": _(
        "On half of the official test split, 14.6% of the films labelled NORMAL are called "
        "PNEUMONIA (limit 10%). The model was shipped before this limit existed; result "
        "pages and the model card state the error rates of each set."
    ),
    "The calibration error is 0.169 on the official test split and on half of it (limit "
    "0.1); on the model's own test split it is 0.017. The model was shipped before this "
    "limit existed; the model card states the figures.": _(
        "The calibration error is 0.169 on the official test split and on half of it (limit"
        " 0.1); on the model's own test split it is 0.017. The model was shipped before "
        "this limit existed; the model card states the figures."
    ),
    "On half of the official test split 6.9% of the films are refused (limit 5%); on the "
    "model's own test split 1.9%. A refused film gets no label.": _(
        "On half of the official test split 6.9% of the films are refused (limit 5%); on "
        "the model's own test split 1.9%. A refused film gets no label."
    ),
    "The AUC with the lungs blacked out is 0.916 (limit 0.75), so much of the label can be "
    "told from outside the average lung field. The cause is not known. The AUC on the frame"
    " alone is 0.481. The model was shipped before this limit existed; the model card "
    "states the probe.": _(
        "The AUC with the lungs blacked out is 0.916 (limit 0.75), so much of the label can"
        " be told from outside the average lung field. The cause is not known. The AUC on "
        "the frame alone is 0.481. The model was shipped before this limit existed; the "
        "model card states the probe."
    ),
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
    "Platt scaling, ranking threshold and conformal limits fitted to the site's films; the figures "
    "of the test set are cross-fitted, each film judged by limits fitted without its patient": _(
        "Platt scaling, ranking threshold and conformal limits were fitted to the site's X-rays."
        " Cross-fitted figures judge each X-ray by limits that were fitted without its patient."
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
            r"quantile (?P<distance>[\d.]+) of the distance and quantile (?P<classifier>[\d.]+) of"
            r" the OOD classifier's log-odds, on films that neither was trained on; raised until at"
            r" most (?P<more>[\d.]+) of the external films exceed the classifier's, and"
            r" (?P<far>[\d.]+) the distance's"
        ),
        _(
            "Quantile %(distance)s of the distance and quantile %(classifier)s of the OOD"
            " classifier's log-odds, on X-rays that neither was trained on. Both limits were"
            " raised until at most %(more)s of the external X-rays exceed that of the classifier,"
            " and %(far)s that of the distance."
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
    (
        re.compile(
            r"median over (?P<samples>\d+) bootstrap samples of the threshold that maximises"
            r" sensitivity \+ specificity, on out-of-fold predictions of (?P<networks>\d+)"
            r" ensemble members; every film unchanged and under one corruption; the mean with the"
            r" same on external films"
        ),
        _(
            "median over %(samples)s bootstrap samples of the threshold that maximises"
            " sensitivity + specificity, on the out-of-fold predictions of %(networks)s ensemble"
            " members; each X-ray is used both unchanged and with one corruption; averaged with"
            " the threshold found in the same way on the external X-rays"
        ),
    ),
    (
        re.compile(
            r"median over (?P<samples>\d+) bootstrap samples of the threshold that maximises"
            r" sensitivity \+ specificity, on the site's films"
        ),
        _(
            "median over %(samples)s bootstrap samples of the threshold that maximises"
            " sensitivity + specificity, on the site's X-rays"
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
