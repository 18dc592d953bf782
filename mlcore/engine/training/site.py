"""Fitting a model's limits to a site: calibration, ranking threshold and limits of abstention.

The networks stay as they are. What is fitted is judged by cross-fitting: each film by limits that
were fitted without its patient. Needs no Keras.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine import metrics
from mlcore.engine.data import folds as blocks
from mlcore.engine.data.dataset import LABELS
from mlcore.engine.evaluation import outcomes, predictions
from mlcore.engine.evaluation.site_films import SiteFilms
from mlcore.engine.serving import conformal
from mlcore.engine.serving.calibration import Calibration
from mlcore.engine.serving.conformal import Abstention
from mlcore.engine.serving.decision import DecisionRule
from mlcore.engine.training.calibration import choose_threshold
from mlcore.engine.training.calibration import fit as fit_calibration

Vector = npt.NDArray[Any]
# Tried in this order: the fewest folds that leave enough films of each label for the quantiles.
FOLDS = (5, 10, 20)
# Largest difference between the network's probability and the one computed from its map.
AGREEMENT = 1e-3

# Stand-ins for probabilities whose limits differ between the folds; see `CrossFitted.figures`.
_RULE = DecisionRule(0.25, 0.75, LABELS)
_NORMAL, _BELOW, _ABOVE, _PNEUMONIA = 0.0, 0.3, 0.6, 1.0


class CannotFitError(ValueError):
    """Raised when limits cannot be fitted to a site's films; the message says what is missing."""


def films_per_label(coverage: float = conformal.COVERAGE) -> int:
    """Return the fewest films of a label for a finite conformal quantile: 49 for 98 %."""
    n = 1
    while not np.isfinite(conformal.quantile(np.zeros(n), coverage)):
        n += 1
    return n


@dataclass(frozen=True)
class Limits:
    """What is fitted to a site.

    Attributes:
        calibration: of the networks' log-odds.
        threshold: the ranking threshold, a probability.
        abstention: the limits of the rule of decision.
    """

    calibration: Calibration
    threshold: float
    abstention: Abstention

    @property
    def rule(self) -> DecisionRule:
        return DecisionRule(self.abstention.lower, self.abstention.upper, LABELS)


def fit(labels: Vector, logits: Vector, *, seed: int = 0) -> Limits:
    """Fit the limits to films of one site.

    Args:
        labels: (n,) 0 or 1.
        logits: (n,) log-odds before calibration.
        seed: seed of the bootstrap that the threshold is chosen by.

    Raises:
        CannotFitError: a label is missing or too rare, or the log-odds don't separate the labels.
    """
    try:
        calibration = fit_calibration(labels, logits)
        cut = choose_threshold(labels, logits, seed=seed)
    except ValueError as error:
        raise CannotFitError(f"The calibration cannot be fitted: {error}") from error
    threshold = float(calibration.probabilities(cut))
    band = conformal.fit(labels, calibration.probabilities(logits), threshold=threshold)
    return Limits(calibration, threshold, band)


@dataclass(frozen=True, eq=False)
class CrossFitted:
    """Limits for a site, with the results of its films under limits fitted without them.

    Attributes:
        films: the films.
        limits: fitted to all films; those of the derived model.
        fold: (n,) the fold of each film.
        folds: number of folds.
        by_fold: the limits that judge the films of each fold.
        probabilities: (n,) cross-fitted probabilities of PNEUMONIA.
    """

    films: SiteFilms
    limits: Limits
    fold: Vector
    folds: int
    by_fold: Sequence[Limits]
    probabilities: Vector

    def figures(self, *, scope_limit: float) -> dict[str, Any]:
        """Return the cross-fitted figures, with the keys of a card's metrics.

        The AUC is that of the log-odds, which nothing was fitted for. ECE and Brier score are of
        the cross-fitted probabilities; all others count each film by the limits of its fold.
        """
        films, stand_ins = self.films, self._stand_ins()
        outside = films.scope_scores > scope_limit
        band = Abstention(self.limits.abstention.coverage, _RULE.lower, _RULE.upper)
        found = predictions.figures(
            films.labels, stand_ins, threshold=0.5, abstention=band, flagged=int(outside.sum())
        )
        found |= {
            "threshold": self.limits.threshold,
            "auc": metrics.auc(films.labels, films.logits),
            "auc_ci": metrics.auc_interval(films.labels, films.logits),
        }
        for name, figure in (("brier", metrics.brier), ("ece", metrics.ece)):
            found[name] = figure(films.labels, self.probabilities)
            found[f"{name}_ci"] = metrics.bootstrap_interval(
                figure, films.labels, self.probabilities
            )
        found["by_series"] = predictions.by_series(
            films.series, films.labels, stand_ins, threshold=0.5, abstention=band
        )
        found["decision"] = outcomes.outcomes(
            films.labels, stand_ins, rule=_RULE, out_of_scope=outside, series=films.series
        ) | {"lower": self.limits.rule.lower, "upper": self.limits.rule.upper}
        return found

    def _stand_ins(self) -> Vector:
        """Return a number per film that says where it is within the limits of its fold.

        The limits differ between folds, so that no single threshold gives the same results.
        """
        found = np.empty(len(self.fold))
        for number, limits in enumerate(self.by_fold):
            those = self.fold == number
            p, rule = self.probabilities[those], limits.rule
            unsure = np.where(p >= limits.threshold, _ABOVE, _BELOW)
            plain = np.where(p >= rule.upper, _PNEUMONIA, _NORMAL)
            found[those] = np.where((p >= rule.lower) & (p < rule.upper), unsure, plain)
        return found


def cross_fit(films: SiteFilms, *, seed: int = 0) -> CrossFitted:
    """Fit the limits to a site's films, and judge each film by limits fitted without its patient.

    Raises:
        CannotFitError: there are too few films or patients, or the log-odds don't separate the
            labels.
    """
    fold, count = _folds(films)
    probabilities = np.empty(len(fold))
    by_fold = []
    for number in range(count):
        rest = fold != number
        limits = fit(films.labels[rest], films.logits[rest], seed=seed)
        probabilities[~rest] = limits.calibration.probabilities(films.logits[~rest])
        by_fold.append(limits)
    return CrossFitted(
        films=films,
        limits=fit(films.labels, films.logits, seed=seed),
        fold=fold,
        folds=count,
        by_fold=by_fold,
        probabilities=probabilities,
    )


def _folds(films: SiteFilms) -> tuple[Vector, int]:
    needed = films_per_label()
    counts = films.counts
    said = ", ".join(f"{label} {n}" for label, n in counts.items())
    if min(counts.values()) < needed:
        raise CannotFitError(
            f"Too few films: limits that hold for {conformal.COVERAGE:.0%} of either label need at "
            f"least {needed} films of each. Received: {said}. Collect more films, or leave out "
            "--fit to measure the model as it is."
        )
    for count in FOLDS:
        try:
            fold = blocks.blocks(films.records, count)
        except ValueError:
            continue  # a fold would lack a label
        if all(_rest(films.labels, fold, number) >= needed for number in range(count)):
            return fold, count
    raise CannotFitError(
        f"Too few films or patients for cross-fitting: {needed} films of each label must remain "
        f"when the patients of one of {FOLDS[-1]} folds are left out. Received: {said}, of "
        f"{films.patients} patients. Collect about {-(-needed * FOLDS[0] // (FOLDS[0] - 1))} "
        "films of each label, or leave out --fit to measure the model as it is."
    )


def _rest(labels: Vector, fold: Vector, number: int) -> int:
    """Return the films of the rarer label that are not in a fold."""
    return int(min((labels[fold != number] == value).sum() for value in (0, 1)))


def network_calibration(card: Mapping[str, Any]) -> Calibration:
    """Return the calibration in a network's graph, also of a card that was derived already."""
    entry = card["calibration"]
    return Calibration.from_card(entry.get("network") or entry)


def check_map(films: SiteFilms, card: Mapping[str, Any]) -> None:
    """Verify that the probabilities follow from the log-odds, on every film.

    Raises:
        CannotFitError: they don't, so that the network cannot be calibrated again from its map.
    """
    again = Calibration.from_card(card["calibration"]).probabilities(films.logits)
    worst = float(np.abs(again - films.probabilities).max())
    if not worst <= AGREEMENT:
        raise CannotFitError(
            f"The activation map of {card['name']} does not add up to its probability (difference "
            f"{worst:.3g}), so it cannot be calibrated again. Train the model with this version."
        )
