"""What the page of a model card shows, drawn from the card. A section without figures is absent."""

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
THREE_ANSWERS = ("coverage", "unsure_rate", "accuracy_when_sure")
CALIBRATION = ("ece", "brier")
SCOPE = ("out_of_scope_rate",)

# Of 1000 children, as many are taken to be sick until the reader chooses another share.
SICK_PER_MILLE = 200
TABLE_POINTS = 8
EXTENTS = (0.2, 0.4, 1)


@dataclass(frozen=True)
class Section:
    """A part of the page: `id` is its address on it, and names its template."""

    id: str
    title: str | Promise
    command: str = ""

    @property
    def template(self) -> str:
        return f"mlcore/card/{self.id}.html"


@dataclass(frozen=True)
class Point:
    """A cut, and what sensitivity and specificity it gives."""

    cut: float
    sensitivity: float
    specificity: float
    is_shipped: bool = False

    @property
    def missed(self) -> int:
        """Sick children called normal, of 1000 of whom SICK_PER_MILLE are sick."""
        return round(SICK_PER_MILLE * (1 - self.sensitivity))

    @property
    def alarmed(self) -> int:
        """Healthy children called sick, of the same 1000."""
        return round((1000 - SICK_PER_MILLE) * (1 - self.specificity))


def page(version: ModelVersion) -> dict[str, Any]:
    """Return the context of the templates in `mlcore/card/`."""
    card = version.card
    metrics = card.get("metrics", {})
    return {
        "version": version,
        "card": card,
        "sections": sections(card),
        "headline": headline(card),
        "at_threshold": measures(metrics, AT_THRESHOLD),
        "three_answers": measures(metrics, THREE_ANSWERS),
        "calibration_figures": measures(metrics, CALIBRATION),
        "scope_figures": measures(metrics, SCOPE),
        "held_out": metrics.get("test", {}),
        "counts": counts(card),
        "groups": groups(card),
        "trade": trade(card),
        "scope_sets": scope_sets(card),
        "probes": probes(card),
        "robustness": robustness(card),
        "failures": failures(card),
        "plots": plots(card),
    }


def sections(card: Card) -> list[Section]:
    """Return the sections of this card's page, in their order."""
    commands = card.get("commands", {})
    held_out = card.get("metrics", {}).get("test", {})
    known: Iterable[tuple[str, str | Promise, str, bool]] = (
        ("use", _("Intended use"), "", True),
        ("data", _("Films it learnt from"), "", True),
        ("figures", _("How well it does"), "evaluate", True),
        ("groups", _("By group of films"), "evaluate", bool(held_out.get("by_series"))),
        ("threshold", _("Threshold and what it trades"), "train", True),
        ("answers", _("Three answers"), "evaluate", "conformal" in card),
        ("calibration", _("Calibration"), "evaluate", True),
        ("scope", _("Scope gate"), "train", True),
        ("shortcuts", _("Shortcut probe"), "probe", "shortcuts" in card),
        ("robustness", _("Robustness"), "robustness", "robustness" in card),
        ("failures", _("Where it fails"), "", "failures" in card),
        ("made", _("How it was made"), "train", True),
    )
    return [
        Section(name, title, commands.get(command, ""))
        for name, title, command, is_there in known
        if is_there
    ]


def headline(card: Card) -> list[dict[str, Any]]:
    """Return the main figures of the held-out films."""
    found = card.get("metrics", {}).get("test", {})
    return [
        {"name": words.MEASURES[key][0], "value": found[key], "ci": found.get(f"{key}_ci")}
        for key in HEADLINE
        if key in found
    ]


def measures(metrics: Card, keys: Iterable[str]) -> list[dict[str, Any]]:
    """Return a row a figure: its name, what it means, and its value in each of SETS."""
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
    """Return a row a figure of the held-out films, with its value on either card."""
    keys = (*AT_THRESHOLD, *THREE_ANSWERS, *CALIBRATION, *SCOPE)
    held_out = [card.get("metrics", {}).get("test", {}) for card in (first, second)]
    return measures(dict(zip(SETS, held_out, strict=True)), keys)


def counts(card: Card) -> list[dict[str, Any]]:
    """Return a row a set of films: its name, films of each label, and all of them."""
    by_set: Card = card.get("data", {}).get("counts", {})
    labels = card.get("labels", [])
    return [
        {
            "name": words.SETS.get(name, name),
            "films": [films.get(label, 0) for label in labels],
            "all": sum(films.values()),
        }
        for name, films in by_set.items()
    ]


def groups(card: Card) -> list[dict[str, Any]]:
    """Return a row a group of held-out films, which are all of one label."""
    by_series: Card = card.get("metrics", {}).get("test", {}).get("by_series", {})
    ordered = sorted(by_series, key=lambda name: list(words.SERIES).index(name)
                     if name in words.SERIES else len(words.SERIES))  # fmt: skip
    return [
        {"name": words.SERIES.get(name, name), "measure": words.measure_of(name)}
        | dict(by_series[name])
        for name in ordered
    ]


def trade(card: Card) -> dict[str, Any] | None:
    """Return the ROC points of the validation films, or None where the card has none."""
    curve = card.get("roc_validation")
    if not curve:
        return None
    shipped = _shipped_point(card)
    columns = (curve["probability"], curve["sensitivity"], curve["specificity"])
    points = [Point(*values) for values in zip(*columns, strict=True)]
    points = [point for point in points if abs(point.cut - shipped.cut) > 1e-6]
    points = sorted([*points, shipped], key=lambda point: point.cut)
    place = points.index(shipped)
    return {
        "points": points,
        "shipped": shipped,
        "shipped_place": place,
        "last_place": len(points) - 1,
        "table": _few(points, place),
        "sick_percent": SICK_PER_MILLE // 10,
        "data": ";".join(f"{p.cut:.6g},{p.sensitivity:.6g},{p.specificity:.6g}" for p in points),
    } | _drawing(points, shipped)


def _shipped_point(card: Card) -> Point:
    measured = card["metrics"]["validation"]
    return Point(card["threshold"]["value"], measured["sensitivity"], measured["specificity"], True)


def _few(points: list[Point], shipped: int) -> list[Point]:
    """Some points that show the whole trade, the shipped one among them."""
    last = len(points) - 1
    places = {round(last * step / (TABLE_POINTS - 1)) for step in range(TABLE_POINTS)}
    return [points[place] for place in sorted(places | {shipped})]


def _drawing(points: list[Point], shipped: Point) -> dict[str, Any]:
    """The ROC curve as SVG paths in a square of 100, top left the perfect model.

    The square shows rates of error up to `extent`: the curve of a good model lies in a corner,
    where the whole plane would show nothing.
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
    """Return a row a set of pictures that the gate was measured on."""
    return [
        {"name": words.SCOPE_SETS.get(row["set"], row["set"])}
        | {key: row.get(key) for key in ("n", "flagged", "flagged_ci")}
        for row in card.get("scope", {}).get("measured", [])
    ]


def probes(card: Card) -> list[dict[str, Any]]:
    """Return a row a probe: what was done to the films, what to expect, and the AUC left."""
    return [
        {"name": name, "meaning": meaning, "auc": row.get("auc"), "auc_ci": row.get("auc_ci")}
        for row in card.get("shortcuts", {}).get("probes", [])
        for name, meaning in [words.PROBES.get(row["probe"], (row["probe"], ""))]
    ]


def robustness(card: Card) -> list[dict[str, Any]]:
    """Return the corruptions, each with its rows by severity."""
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
    """Return the films that were called wrongly, grouped by what went wrong, in words."""
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
    """Return the plots by file name without its end, each with what it shows."""
    found = {}
    for file in card.get("plots", []):
        key = file.rsplit(".", 1)[0]
        found[key] = {"file": file, "shows": words.PLOTS.get(key, key)}
    return found
