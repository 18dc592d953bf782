"""Figures of the rule of decision: what films with and without pneumonia are called.

Sensitivity and specificity describe a rule with two results. With three, a film is called
correctly, called wrongly, or left to the doctor, so the shares of all three are reported for each
label, and the predictive values at stated prevalences.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine import metrics
from mlcore.engine.data.dataset import LABELS
from mlcore.engine.serving.decision import RULE, DecisionRule

Vector = npt.NDArray[Any]

OUT_OF_SCOPE = "OUT_OF_SCOPE"
PREVALENCES = (0.05, 0.2, 0.5)


def outcomes(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    rule: DecisionRule,
    out_of_scope: npt.ArrayLike | None = None,
    series: Sequence[str] = (),
    prevalences: Sequence[float] = PREVALENCES,
) -> dict[str, Any]:
    """Return the figures of a rule on n films, each share with its 95 % confidence interval.

    Args:
        labels: (n,) 0 or 1.
        probabilities: (n,) calibrated probabilities of PNEUMONIA.
        rule: the rule of decision.
        out_of_scope: (n,) whether the image alone puts a film out of scope; None if not known.
        series: (n,) numbering series or aetiology of each film, "" if not known.
        prevalences: proportions of children with pneumonia, in (0, 1), for the predictive values.

    Returns:
        `rule`, `lower`, `upper`; `n` by label; `called`: by label and result, `count`, `share` and
        `ci` over every film, refused ones by their probability; `shown`: the same as a doctor gets
        it, with OUT_OF_SCOPE as a fourth result (None without `out_of_scope`); `ppv_at` and
        `npv_at`: by prevalence, `value` and `ci`; `by_series`: `label`, `n` and `called`.
    """
    sick = np.asarray(labels) == 1
    results = rule.results_of(probabilities)
    members = {rule.labels[1]: sick, rule.labels[0]: ~sick}
    called = {label: _shares(results[those], rule.results) for label, those in members.items()}
    found: dict[str, Any] = {
        "rule": RULE,
        "lower": rule.lower,
        "upper": rule.upper,
        "n": {label: int(those.sum()) for label, those in members.items()},
        "called": called,
        "shown": None,
        "by_series": _by_series(series, sick, results, rule),
    } | predictive_values(called, rule.labels, prevalences)
    if out_of_scope is not None:
        given = np.where(np.asarray(out_of_scope), OUT_OF_SCOPE, results)
        kinds = (*rule.results, OUT_OF_SCOPE)
        found["shown"] = {label: _shares(given[those], kinds) for label, those in members.items()}
    return found


def predictive_values(
    called: dict[str, Any], labels: tuple[str, str], prevalences: Iterable[float]
) -> dict[str, Any]:
    """Return `ppv_at` and `npv_at` by prevalence, from the shares in `called`.

    The positive predictive value is the share of films called PNEUMONIA that show it; the negative
    one, the share of films called NORMAL that don't. Inconclusive films are in neither.
    """
    negative, positive = labels

    def counts(of: str, as_called: str) -> tuple[int, int]:
        rows = called[of]
        return rows[as_called]["count"], sum(row["count"] for row in rows.values())

    found: dict[str, Any] = {"ppv_at": {}, "npv_at": {}}
    for prevalence in prevalences:
        for key, true, false, share in (
            ("ppv_at", (positive, positive), (negative, positive), prevalence),
            ("npv_at", (negative, negative), (positive, negative), 1 - prevalence),
        ):
            value, interval = metrics.predictive_value(counts(*true), counts(*false), share)
            found[key][f"{prevalence:g}"] = {"value": value, "ci": list(interval)}
    return found


def _shares(results: Vector, kinds: Iterable[str]) -> dict[str, Any]:
    n = len(results)
    rows = {}
    for kind in kinds:
        count = int((results == kind).sum())
        rows[kind] = {
            "count": count,
            "share": metrics.share(count, n, f"The share called {kind}"),
            "ci": list(metrics.wilson_interval(count, n)),
        }
    return rows


def _by_series(
    series: Sequence[str], sick: Vector, results: Vector, rule: DecisionRule
) -> dict[str, Any]:
    rows = {}
    for name in sorted(set(series) - {""}):
        those = np.array([entry == name for entry in series])
        if len(set(sick[those].tolist())) == 1:
            rows[name] = {
                "label": rule.labels[int(sick[those][0])],
                "n": int(those.sum()),
                "called": _shares(results[those], rule.results),
            }
    return rows


def films_sha256(films: Iterable[tuple[str, str]]) -> str:
    """Return the hash that identifies a set of labelled films, whatever their names and order.

    Args:
        films: (SHA-256 of the pixels as in `FilmRecord`, label) of every film.
    """
    lines = sorted(f"{pixels} {label}\n" for pixels, label in films)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def pixels_of(content: bytes, *, split: str) -> set[str]:
    """Return the hashes of the films of one split in the content of a `predictions.csv`."""
    return {row["pixels_sha256"] for row in rows_of(content) if row["split"] == split}


def of_predictions(content: bytes, *, split: str, card: Any) -> dict[str, Any] | None:
    """Return the figures of a split of a `predictions.csv`, or None if it has no such films.

    Unlike in `compare.read_predictions`, a copy of a film counts as a film, as it does in the
    other figures of the card.

    Returns:
        `n`, `data_sha256` (see `films_sha256`) and `decision` (see `outcomes`). The scope gate is
        left out of it unless every film has a scope score.

    Raises:
        ValueError: the file lacks a column, or a value is invalid.
    """
    rows = [row for row in rows_of(content) if row["split"] == split]
    if not rows:
        return None
    scores = [row["scope_score"] for row in rows]
    limit = card["scope"]["threshold"]
    return {
        "n": len(rows),
        "data_sha256": films_sha256((row["pixels_sha256"], row["label"]) for row in rows),
        "decision": outcomes(
            [LABELS.index(row["label"]) for row in rows],
            [float(row["probability"]) for row in rows],
            rule=DecisionRule.of(card),
            out_of_scope=[float(score) > limit for score in scores] if all(scores) else None,
            series=[row["series"] for row in rows],
        ),
    }


def rows_of(content: bytes) -> list[dict[str, str]]:
    """Return the rows of a `predictions.csv`.

    Raises:
        ValueError: the file lacks a column, or is not valid CSV.
    """
    reader = csv.DictReader(io.StringIO(content.decode("utf-8")), strict=True)
    wanted = {"split", "pixels_sha256", "label", "series", "probability", "scope_score"}
    if not wanted <= set(reader.fieldnames or ()):
        raise ValueError(f"predictions.csv must have the columns {', '.join(sorted(wanted))}.")
    try:
        return list(reader)
    except csv.Error as error:
        raise ValueError(f"predictions.csv: {error}") from error
