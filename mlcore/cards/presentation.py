"""Template context for the page of a model card. Sections without data are left out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mlcore.cards import words
from mlcore.models import ModelVersion

Card = Mapping[str, Any]

SETS = ("validation", "test")
HEADLINE = ("auc", "sensitivity", "specificity", "coverage", "unsure_rate")
AT_THRESHOLD = ("auc", "accuracy", "sensitivity", "specificity", "ppv", "npv")
ABSTENTION = ("coverage", "unsure_rate", "accuracy_when_sure")
CALIBRATION = ("ece", "brier")
SCOPE = ("out_of_scope_rate",)

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
    metrics = card.get("metrics", {})
    return {
        "version": version,
        "card": card,
        "sections": sections(card),
        "headline": headline(card),
        "at_threshold": measures(metrics, AT_THRESHOLD),
        "abstention": measures(metrics, ABSTENTION),
        "calibration_figures": measures(metrics, CALIBRATION),
        "scope_figures": measures(metrics, SCOPE),
        "test_figures": metrics.get("test", {}),
        "label_names": [words.LABELS.get(label, label) for label in card.get("labels", [])],
        "counts": counts(card),
        "groups": groups(card),
        "tradeoff": tradeoff(card),
        "scope_sets": scope_sets(card),
        "probes": probes(card),
        "robustness": robustness(card),
        "failures": failures(card),
        "plots": plots(card),
    }


def sections(card: Card) -> list[Section]:
    """Return the sections that the card has data for, in page order."""
    commands = card.get("commands", {})
    test_figures = card.get("metrics", {}).get("test", {})
    known: Iterable[tuple[str, str | Promise, str, bool]] = (
        ("use", _("Intended use"), "", True),
        ("data", _("Training data"), "", True),
        ("figures", _("Performance"), "evaluate", True),
        ("groups", _("Performance by group"), "evaluate", bool(test_figures.get("by_series"))),
        ("threshold", _("Choice of threshold"), "train", True),
        ("answers", _("Three possible results"), "evaluate", "conformal" in card),
        ("calibration", _("Calibration"), "evaluate", True),
        ("scope", _("Out-of-scope check"), "train", True),
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


def headline(card: Card) -> list[dict[str, Any]]:
    """Return the main figures on the test set."""
    figures = card.get("metrics", {}).get("test", {})
    return [
        {"name": words.MEASURES[key][0], "value": figures[key], "ci": figures.get(f"{key}_ci")}
        for key in HEADLINE
        if key in figures
    ]


def measures(metrics: Card, keys: Iterable[str]) -> list[dict[str, Any]]:
    """Return one row per metric: its name, its meaning and its value on each of SETS."""
    return [
        {
            "name": words.MEASURES[key][0],
            "meaning": words.MEASURES[key][1],
            "cells": [
                {"value": figures.get(key), "ci": figures.get(f"{key}_ci")}
                for figures in (metrics.get(name, {}) for name in SETS)
            ],
        }
        for key in keys
        if any(key in metrics.get(name, {}) for name in SETS)
    ]


def side_by_side(first: Card, second: Card) -> list[dict[str, Any]]:
    """Return one row per metric on the test set, with its value on each of the two cards."""
    keys = (*AT_THRESHOLD, *ABSTENTION, *CALIBRATION, *SCOPE)
    figures = [card.get("metrics", {}).get("test", {}) for card in (first, second)]
    return measures(dict(zip(SETS, figures, strict=True)), keys)


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


def groups(card: Card) -> list[dict[str, Any]]:
    """Return one row per group of the test set; all X-rays of a group have the same label."""
    by_series: Card = card.get("metrics", {}).get("test", {}).get("by_series", {})
    ordered = sorted(by_series, key=lambda name: list(words.SERIES).index(name)
                     if name in words.SERIES else len(words.SERIES))  # fmt: skip
    return [
        {"name": words.SERIES.get(name, name), "measure": words.measure_of(name)}
        | dict(by_series[name])
        for name in ordered
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
        {"name": words.SCOPE_SETS.get(row["set"], row["set"])}
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


def plots(card: Card) -> dict[str, dict[str, Any]]:
    """Return the card's plots by name, each with its file, title and description."""
    found = {}
    for file in card.get("plots", []):
        key = file.rsplit(".", 1)[0]
        title, description = words.PLOTS.get(key, (key, ""))
        found[key] = {"file": file, "title": title, "description": description}
    return found
