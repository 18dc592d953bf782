"""The sets that a model was evaluated on, each with the figures of the rule of decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.utils.functional import Promise

from mlcore.cards import words
from mlcore.engine.evaluation.outcomes import OUT_OF_SCOPE
from mlcore.models import Evaluation, ModelVersion

# Of a film with this label, the result, and the key of the share as a metric; see words.MEASURES.
SHARES = {
    ("PNEUMONIA", "PNEUMONIA"): "sick_called_pneumonia",
    ("PNEUMONIA", "UNSURE"): "sick_unsure",
    ("PNEUMONIA", "NORMAL"): "sick_called_normal",
    ("NORMAL", "NORMAL"): "well_called_normal",
    ("NORMAL", "UNSURE"): "well_unsure",
    ("NORMAL", "PNEUMONIA"): "well_called_pneumonia",
}


@dataclass(frozen=True)
class EvaluatedSet:
    """One set of films that a model was evaluated on.

    Attributes:
        key: "validation", "test", or "" for a set that is not part of the model's own data.
        title: its name; text of a card for an external set.
        n: number of films, or None if the card does not state it.
        figures: every metric, those of the rule under the keys in SHARES.
        decision: the figures of the rule, see `engine.evaluation.outcomes`; None if not measured.
        row: the recorded evaluation of an external set.
    """

    key: str
    title: str | Promise
    n: int | None
    figures: dict[str, Any]
    decision: dict[str, Any] | None
    row: Evaluation | None = field(default=None)

    @property
    def is_external(self) -> bool:
        return self.row is not None

    @property
    def is_independent(self) -> bool:
        """Whether others measured these figures, so that no command reproduces them."""
        return self.row is not None and self.row.origin == Evaluation.Origin.STATED

    @property
    def measured_by(self) -> str:
        """Who measured an external evaluation that was dropped beside the bundle, or ""."""
        return str(self.figures.get("measured_by", "")) if self.row else ""

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per label: its names, n, and the three shares."""
        if self.decision is None:
            return []
        called = self.decision["called"]
        return [
            {
                "label": label,
                "name": words.FILMS_WITH[label],
                "short_name": words.WITH[label],
                "n": sum(share["count"] for share in called[label].values()),
                "shares": ordered(called[label]),
            }
            for label in words.FILMS_WITH
            if label in called
        ]

    @property
    def out_of_scope(self) -> dict[str, float] | None:
        """The share of films out of scope by label; None if it was not measured."""
        shown = (self.decision or {}).get("shown")
        return shown and {label: row[OUT_OF_SCOPE]["share"] for label, row in shown.items()}

    @property
    def predictive(self) -> list[dict[str, Any]]:
        """One row per stated prevalence: the predictive values with their intervals."""
        if self.decision is None:
            return []
        return [
            {"prevalence": float(key), "ppv": ppv, "npv": self.decision["npv_at"].get(key, {})}
            for key, ppv in sorted(self.decision["ppv_at"].items(), key=lambda at: float(at[0]))
        ]


def evaluated(version: ModelVersion) -> list[EvaluatedSet]:
    """Return the sets that a version was evaluated on: validation, test, then external ones.

    From the database alone, so that nothing that happens to the bundle's files changes a page.
    """
    rows = list(version.evaluations.all())
    own = {row.kind: row for row in rows if row.kind != Evaluation.Kind.EXTERNAL}
    metrics = version.card.get("metrics", {})
    titles = words.DERIVED_SETS if version.card.get("derived") else words.SETS
    sets = []
    for key in (Evaluation.Kind.VALIDATION, Evaluation.Kind.TEST):
        figures = metrics.get(key, {})
        decision = own[key].decision if key in own else figures.get("decision")
        if figures or decision:
            sets.append(
                EvaluatedSet(
                    key.value,
                    titles[key],
                    figures.get("n"),
                    {**figures, **shares_of(decision)},
                    decision,
                )
            )
    return sets + [
        EvaluatedSet("", row.title, row.n, {**row.figures, **shares_of(row.decision)},
                     row.decision, row)
        for row in rows
        if row.kind == Evaluation.Kind.EXTERNAL
    ]  # fmt: skip


def held_out(version: ModelVersion) -> list[EvaluatedSet]:
    """Return the sets of `evaluated` that the limits were not fitted on."""
    return [entry for entry in evaluated(version) if entry.key != "validation"]


def shares_of(decision: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the shares of the rule as metrics: the value and its interval under `<key>_ci`."""
    if decision is None:
        return {}
    found: dict[str, Any] = {}
    for (label, result), key in SHARES.items():
        share = decision["called"].get(label, {}).get(result)
        if share is not None:
            found |= {key: share["share"], f"{key}_ci": share["ci"]}
    return found


def ordered(shares: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the shares by result in the order of words.RESULTS; a database keeps no order."""
    return [{"result": result} | shares[result] for result in words.RESULTS if result in shares]
