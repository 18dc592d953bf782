"""Template context for the page of a model card. Sections without data are left out."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mlcore.cards import charts, summary, words
from mlcore.cards.evaluated import SHARES, EvaluatedSet, evaluated, held_out, ordered, shares_of
from mlcore.cards.not_passed import not_passed
from mlcore.cards.shown import rule_sentence
from mlcore.engine.serving.decision import DecisionRule
from mlcore.models import ModelVersion

Card = Mapping[str, Any]

__all__ = ["evaluated", "headline", "held_out", "page", "side_by_side"]

# Of the rule of decision: what films with and without pneumonia are called.
RULE = tuple(SHARES.values())
HEADLINE = (
    "auc", "sick_called_pneumonia", "sick_called_normal", "well_called_normal",
    "well_called_pneumonia",
)  # fmt: skip
AT_THRESHOLD = ("auc", "accuracy", "sensitivity", "specificity", "ppv", "npv")
ABSTENTION = ("coverage", "unsure_rate", "accuracy_when_sure")
CALIBRATION = ("ece", "brier")
SCOPE = ("out_of_scope_rate",)
BY_OTHERS = ("auc", "accuracy", "sensitivity", "specificity", "ece", "out_of_scope_rate")

# Children with pneumonia per 1,000, until the reader chooses another prevalence.
PREVALENCE_PER_MILLE = 200
TABLE_POINTS = 8
# Side lengths of the ROC plot, as error rates; the smallest one that fits is used.
EXTENTS = (0.2, 0.4, 1)


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        id: the section's fragment identifier, and the name of its template.
        title: its heading.
        command: the command that reproduces its figures, or "".
    """

    id: str
    title: str | Promise
    command: str = ""

    @property
    def template(self) -> str:
        return f"mlcore/card/{self.id}.html"

    @property
    def is_open(self) -> bool:
        """Whether the section is part of what the page shows first, so is never folded."""
        return self.id in ("use", "derived")


NOT_PASSED = Section("gates", _("Activation gates not passed"))


@dataclass(frozen=True)
class Point:
    """A threshold with the sensitivity and specificity that it gives."""

    threshold: float
    sensitivity: float
    specificity: float
    is_shipped: bool = False

    @property
    def false_negatives(self) -> int:
        """Children with pneumonia classified as normal, per 1,000 children."""
        return round(PREVALENCE_PER_MILLE * (1 - self.sensitivity))

    @property
    def false_positives(self) -> int:
        """Children without pneumonia classified as having it, per 1,000 children."""
        return round((1000 - PREVALENCE_PER_MILLE) * (1 - self.specificity))


def page(version: ModelVersion) -> dict[str, Any]:
    """Return the context for the templates in `mlcore/card/`."""
    card = version.card
    every_set = evaluated(version)
    # Evaluations by others have a section of their own.
    sets = [entry for entry in every_set if not entry.measured_by]
    by_others = [entry for entry in every_set if entry.measured_by]
    every = [entry.figures for entry in sets]
    missed = not_passed(version)
    return {
        "version": version,
        "card": card,
        "sections": _with_gates(sections(card, by_others=bool(by_others)), bool(missed)),
        "not_passed": missed,
        "headline": headline(version),
        "sets": sets,
        "results": words.RESULTS.values(),
        "external": [entry for entry in every_set if entry.is_external],
        "by_others": [
            {
                "set": entry,
                "sets": [entry],
                "measures": measures([entry.figures], BY_OTHERS),
            }
            for entry in by_others
        ],
        "rule": rule(card),
        "at_threshold": measures(every, AT_THRESHOLD),
        "abstention": measures(every, ABSTENTION),
        "calibration_figures": measures(every, CALIBRATION),
        "scope_figures": measures(every, SCOPE),
        "test_figures": card.get("metrics", {}).get("test", {}),
        "label_names": [words.LABELS.get(label, label) for label in card.get("labels", [])],
        "counts": counts(card),
        "groups": groups(card, sets),
        "tradeoff": tradeoff(card),
        "scope_sets": scope_sets(card),
        "probes": probes(card),
        "robustness": robustness(card),
        "failures": failures(card),
    } | _drawn(version, sets)


def rule(card: Card) -> dict[str, Any]:
    """Return the rule of decision: its limits, and the sentence that states it."""
    decides = DecisionRule.of(card)
    return {
        "lower": decides.lower,
        "upper": decides.upper,
        "sentence": rule_sentence(decides.lower, decides.upper),
    }


def sections(card: Card, *, by_others: bool = False) -> list[Section]:
    """Return the sections that the card has data for, in page order.

    Args:
        card: the model card.
        by_others: whether there are external evaluations.
    """
    commands = card.get("commands", {})
    test_figures = card.get("metrics", {}).get("test", {})
    known: Iterable[tuple[str, str | Promise, str, bool]] = (
        ("use", _("Intended use"), "", True),
        ("derived", _("Fitted to a site"), "derive", bool(card.get("derived"))),
        ("data", _("Training data"), "", True),
        ("answers", _("Rule of decision and its figures"), "evaluate", True),
        ("external", _("External evaluations"), "", by_others),
        ("groups", _("Performance by group"), "evaluate", bool(test_figures.get("by_series"))),
        ("figures", _("Ranking figures"), "evaluate", True),
        ("threshold", _("Ranking threshold"), "train", True),
        ("calibration", _("Calibration"), "evaluate", True),
        ("scope", _("Out-of-scope check"), "train", True),
        ("lungs", _("Finding the lungs"), "train", "lungs" in card),
        ("shortcuts", _("Shortcut learning"), "probe", "shortcuts" in card),
        ("robustness", _("Robustness"), "robustness", "robustness" in card),
        ("failures", _("Errors on the test set"), "", "failures" in card),
        ("made", _("Training details"), "train", True),
    )
    return [
        Section(name, title, commands.get(command, ""))
        for name, title, command, is_there in known
        if is_there
    ]


def _drawn(version: ModelVersion, sets: Sequence[EvaluatedSet]) -> dict[str, Any]:
    return {
        "charts": charts.charts(version),
        "plots": charts.plots(version),
        "confusion": summary.confusion(version.card),
        "outcome_bars": summary.outcome_bars(sets),
    }


def _with_gates(shown: list[Section], has_missed: bool) -> list[Section]:
    return [*shown[:1], NOT_PASSED, *shown[1:]] if has_missed else shown


def headline(version: ModelVersion) -> list[dict[str, Any]]:
    """Return the main figures on the test set: the AUC, and those of the rule of decision."""
    figures = next((entry.figures for entry in evaluated(version) if entry.key == "test"), {})
    return [
        {"name": words.MEASURES[key][0], "value": figures.get(key), "ci": figures.get(f"{key}_ci")}
        for key in HEADLINE
    ]


def measures(sets: Sequence[Card], keys: Iterable[str]) -> list[dict[str, Any]]:
    """Return one row per metric: its name, its meaning and its value on each set."""
    return [
        {
            "name": words.MEASURES[key][0],
            "meaning": words.MEASURES[key][1],
            "cells": [
                {"value": figures.get(key), "ci": figures.get(f"{key}_ci")} for figures in sets
            ],
        }
        for key in keys
        if any(figures.get(key) is not None for figures in sets)
    ]


def side_by_side(
    first: ModelVersion | Card | None, second: ModelVersion | Card | None
) -> list[dict[str, Any]]:
    """Return one row per metric on the test set, with its value for each of two models.

    The figures of the rule of decision come first; those at the ranking threshold follow. Pass
    versions rather than cards: only they have the figures that were recorded beside the card.
    """
    keys = (*RULE, *ABSTENTION, *AT_THRESHOLD, *CALIBRATION, *SCOPE)
    return measures([_test_figures(first), _test_figures(second)], keys)


def _test_figures(model: ModelVersion | Card | None) -> Card:
    if isinstance(model, ModelVersion):
        return next((entry.figures for entry in evaluated(model) if entry.key == "test"), {})
    figures = (model or {}).get("metrics", {}).get("test", {})
    return {**figures, **shares_of(figures.get("decision"))}


def counts(card: Card) -> list[dict[str, Any]]:
    """Return one row per data set: its name, the X-rays of each label, and the total."""
    by_set: Card = card.get("data", {}).get("counts", {})
    labels = card.get("labels", [])
    return [
        {
            "name": words.SETS.get(name, name),
            "by_label": [images.get(label, 0) for label in labels],
            "total": sum(images.values()),
        }
        for name, images in by_set.items()
    ]


def groups(card: Card, sets: Iterable[EvaluatedSet] = ()) -> list[dict[str, Any]]:
    """Return one row per group of the test set; all X-rays of a group have the same label.

    `shares` has the three shares of the rule of decision, or is empty if they were not measured.
    """
    by_series: Card = card.get("metrics", {}).get("test", {}).get("by_series", {})
    decisions = (entry.decision for entry in sets if entry.key == "test")
    called = (next(decisions, None) or {}).get("by_series") or {}
    names = sorted(by_series, key=lambda name: list(words.SERIES).index(name)
                   if name in words.SERIES else len(words.SERIES))  # fmt: skip
    return [
        {
            "name": words.SERIES.get(name, name),
            "measure": words.measure_of(name),
            "shares": ordered(called[name]["called"]) if name in called else [],
        }
        | dict(by_series[name])
        for name in names
    ]


def tradeoff(card: Card) -> dict[str, Any] | None:
    """Return the ROC points on the validation set, or None if the card has none."""
    curve = card.get("roc_validation")
    if not curve:
        return None
    shipped = _shipped_point(card)
    columns = (curve["probability"], curve["sensitivity"], curve["specificity"])
    points = [Point(*values) for values in zip(*columns, strict=True)]
    points = [point for point in points if abs(point.threshold - shipped.threshold) > 1e-6]
    points = sorted([*points, shipped], key=lambda point: point.threshold)
    place = points.index(shipped)
    return {
        "points": points,
        "shipped": shipped,
        "shipped_place": place,
        "last_place": len(points) - 1,
        "table": _sampled(points, place),
        "prevalence_percent": PREVALENCE_PER_MILLE // 10,
        "data": ";".join(
            f"{p.threshold:.6g},{p.sensitivity:.6g},{p.specificity:.6g}" for p in points
        ),
    } | _roc_drawing(points, shipped)


def _shipped_point(card: Card) -> Point:
    measured = card["metrics"]["validation"]
    return Point(card["threshold"]["value"], measured["sensitivity"], measured["specificity"], True)


def _sampled(points: list[Point], shipped: int) -> list[Point]:
    """Return about TABLE_POINTS points over the whole range, including the shipped one."""
    last = len(points) - 1
    places = {round(last * step / (TABLE_POINTS - 1)) for step in range(TABLE_POINTS)}
    return [points[place] for place in sorted(places | {shipped})]


def _roc_drawing(points: list[Point], shipped: Point) -> dict[str, Any]:
    """Return the ROC curve as SVG paths in a 100 × 100 square.

    The square shows error rates from 0 to `extent`: the curve of a good model stays near one
    corner and could not be read on a plot of the whole range.
    """
    worst = max(1 - shipped.specificity, 1 - shipped.sensitivity)
    extent = next(step for step in EXTENTS if worst <= step / 2 or step == 1)
    side = 100 / extent
    corners = [(side, 0.0)]
    corners += [(side * (1 - p.specificity), side * (1 - p.sensitivity)) for p in points]
    corners += [(0.0, side)]
    return {
        "extent": extent,
        "lowest": round(1 - extent, 1),
        "curve": "M" + " L".join(f"{x:.2f} {y:.2f}" for x, y in corners),
        "chance": f"M0 {side:.2f}L{side:.2f} 0",
        "shipped_x": round(side * (1 - shipped.specificity), 2),
        "shipped_y": round(side * (1 - shipped.sensitivity), 2),
    }


def scope_sets(card: Card) -> list[dict[str, Any]]:
    """Return one row per set of images that the out-of-scope check was measured on."""
    return [
        {"name": words.scope_set(row["set"])}
        | {key: row.get(key) for key in ("n", "flagged", "flagged_ci")}
        for row in card.get("scope", {}).get("measured", [])
    ]


def probes(card: Card) -> list[dict[str, Any]]:
    """Return one row per shortcut probe: its name, how to interpret it, and the AUC."""
    return [
        {"name": name, "meaning": meaning, "auc": row.get("auc"), "auc_ci": row.get("auc_ci")}
        for row in card.get("shortcuts", {}).get("probes", [])
        for name, meaning in [words.PROBES.get(row["probe"], (row["probe"], ""))]
    ]


def robustness(card: Card) -> list[dict[str, Any]]:
    """Return the corruptions, each with its rows sorted by severity."""
    kinds: dict[str, list[Card]] = {}
    for row in card.get("robustness", {}).get("rows", []):
        kinds.setdefault(row["corruption"], []).append(row)
    return [
        {
            "name": words.CORRUPTIONS.get(kind, kind.replace("_", " ")),
            "rows": sorted(rows, key=lambda row: row["severity"]),
        }
        for kind, rows in kinds.items()
    ]


def failures(card: Card) -> list[dict[str, Any]]:
    """Return the misclassified X-rays of the test set, grouped by kind of error."""
    found: dict[tuple[str, str], list[Card]] = {}
    for film in card.get("failures", []):
        found.setdefault((film["truth"], film["answer"]), []).append(film)
    order = list(words.FAILURES)
    return [
        {
            "title": words.FAILURES.get(kind, " → ".join(kind)),
            "answer": kind[1],
            "films": [
                {
                    "probability": film.get("probability"),
                    "series": words.SERIES.get(film.get("series", ""), film.get("series", "")),
                    "where": film.get("where", ""),
                    "where_words": words.PLACES.get(film.get("where", ""), ""),
                    "traits": [words.TRAITS.get(trait, trait) for trait in film.get("traits", [])],
                }
                for film in found[kind]
            ],
        }
        for kind in sorted(found, key=lambda k: order.index(k) if k in order else len(order))
    ]
