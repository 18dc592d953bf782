"""Activation gates that an activated model does not pass, for its pages."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auditlog import get_logentry_model

from mlcore import gates
from mlcore.cards.phrases import translated_phrase
from mlcore.models import ModelVersion


@dataclass(frozen=True)
class NotPassed:
    """The gates that a model does not pass although it was activated.

    Attributes:
        results: the gates with figure and limit; never empty.
        at: when the model was last activated.
        by: who activated it; None if it was `manage.py`, or if it is not known.
    """

    results: tuple[gates.Result, ...]
    at: datetime
    by: Any

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per gate: the result, and the reason in the reader's language, or ""."""
        return [
            {
                "result": result,
                "reason": translated_phrase(result.override) or result.override,
            }
            for result in self.results
        ]


def not_passed(version: ModelVersion) -> NotPassed | None:
    """Return the gates that an activated version does not pass, or None if it passes all."""
    if version.activated_at is None:
        return None
    results = tuple(result for result in gates.known_results(version) if not result.passed)
    if not results:
        return None
    latest = next((row for row in activations(version) if row["activated"]), None)
    return NotPassed(results, version.activated_at, latest and latest["by"])


def activations(version: ModelVersion) -> list[dict[str, Any]]:
    """Return when and by whom this model was activated or replaced, latest first."""
    rows = get_logentry_model().objects.get_for_object(version).select_related("actor")
    return [
        {"at": row.timestamp, "by": row.actor, "activated": row.changes["is_active"][1] == "True"}
        for row in rows
        if "is_active" in (row.changes or {}) and row.action == row.Action.UPDATE
    ]
