"""What a model card shows first: what its model calls X-rays with and without pneumonia."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from mlcore.cards import words
from mlcore.cards.evaluated import EvaluatedSet

# Levels of shading in the confusion matrix.
SHADES = 5


def outcome_bars(sets: Iterable[EvaluatedSet]) -> list[dict[str, Any]]:
    """Return the sets that the limits were not fitted on, each with a stacked bar per label."""
    return [
        {"set": entry, "rows": [_bar(row) for row in entry.rows]}
        for entry in sets
        if entry.key != "validation" and entry.rows
    ]


def _bar(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a bar that is 1,000 units wide, and the bar in words."""
    parts, start = [], 0.0
    for share in row["shares"]:
        width = 1000 * share["share"]
        parts.append(
            {
                "result": share["result"],
                "name": words.RESULTS[share["result"]],
                "share": share["share"],
                "x": f"{start:.1f}",
                "width": f"{width:.1f}",
                "is_wrong": share["result"] not in ("UNSURE", row["label"]),
            }
        )
        start += width
    comma = pgettext("between the words of a list", ", ")
    said = [f"{part['name']} {100 * part['share']:.1f}%" for part in parts]
    return {
        "name": row["short_name"],
        "n": row["n"],
        "parts": parts,
        "words": _("%(films)s: %(shares)s") % {"films": row["name"], "shares": comma.join(said)},
    }


def confusion(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the confusion matrix of the test set at the ranking threshold, one row per label.

    Each cell has its count, its share of the row, and how dark it is, from 0 to `SHADES`.
    """
    counts = card.get("metrics", {}).get("test", {}).get("confusion")
    if not counts:
        return []
    rows = (("NORMAL", counts["tn"], counts["fp"]), ("PNEUMONIA", counts["fn"], counts["tp"]))
    return [
        {
            "name": words.WITH[label],
            "cells": [
                {
                    "n": n,
                    "share": n / total if (total := sum(row)) else None,
                    "shade": round(SHADES * n / total) if total else 0,
                }
                for n in row
            ],
        }
        for label, *row in rows
    ]
