"""Drift of a site's readings against the films that the active model was measured on.

The reference comes from the bundle's `predictions.csv`: the test films, or for a model derived for
a site, that site's films. What it does not have, such as findings about the exposure, is compared
with the site's own first readings by the same model, once there are enough.
"""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mlcore import registry
from mlcore.engine.evaluation import drift
from mlcore.engine.evaluation.compare import PREDICTIONS
from mlcore.engine.evaluation.drift import ALPHA, Change
from mlcore.engine.serving.decision import UNSURE, DecisionRule
from mlcore.engine.serving.lungs import HINTS
from mlcore.models import ModelVersion

LAST = 200
LEAST = 100
# The largest log-odds that a stored probability is told apart at.
MOST_LOG_ODDS = 16.0

Status = Literal["ok", "alarm", "too few", "no model", "no reference"]


@dataclass(frozen=True)
class Observed:
    """What drift is judged by, of one film; no patient data.

    Attributes:
        probability: calibrated probability of PNEUMONIA.
        scope_score: the scope score; None for reference films that have none.
        hints: findings about exposure and position, see `engine.serving.lungs.HINTS`; None if
            they were not recorded.
        aspect: width of the film divided by its height; None if it was not recorded.
    """

    probability: float
    scope_score: float | None
    hints: tuple[str, ...] | None = None
    aspect: float | None = None


@dataclass(frozen=True)
class Report:
    """Whether recent readings drifted.

    Attributes:
        status: "ok", "alarm", "too few" readings, "no model" is active, or it has "no reference".
        model: name of the active model, or "".
        n: readings that were compared.
        needed: readings that are needed at least.
        reference_n: films of the reference.
        changes: one per statistic.
        own: names of the statistics that are compared with the site's own first readings.
        missing: whether exposure and position could not be compared yet.
    """

    status: Status
    model: str = ""
    n: int = 0
    needed: int = LEAST
    reference_n: int = 0
    changes: tuple[Change, ...] = ()
    own: tuple[str, ...] = ()
    missing: bool = field(default=False)

    @property
    def alarms(self) -> list[Change]:
        return [change for change in self.changes if change.alarm]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One row per statistic for display: `change`, `title`, `advice` and `is_own`."""
        return [
            {
                "change": change,
                "title": TITLES[change.name],
                "advice": ADVICE[change.name] if change.alarm else "",
                "is_own": change.name in self.own,
            }
            for change in self.changes
        ]


TITLES: dict[str, Promise] = {
    "probability": _("Probability of pneumonia"),
    "scope_score": _("Scope score: how unlike the validation X-rays"),
    "out_of_scope": _("Flagged as out of scope by the image"),
    "unsure": _("Inconclusive, of X-rays in scope"),
    "aspect": _("Width divided by height"),
    "cut_off": _("A lung may be cut off"),
    "too_small": _("Lungs take up a small part"),
    "tilted": _("Chest appears tilted"),
    "overexposed": _("May be overexposed"),
    "underexposed": _("May be underexposed"),
}
_EQUIPMENT = _(
    "Ask radiology whether equipment, exposure, processing or export settings changed. Until this "
    "is clear, rely on the model less."
)
_POSITION = _("Show this to the technologists: positioning or collimation may have changed.")
_EXPOSURE = _("Ask radiology whether exposure, processing or export settings changed.")
ADVICE: dict[str, Promise] = {
    "probability": _(
        "The proportion of children with pneumonia may differ from the reference, for example by "
        "season, or the X-rays may. Have about 100 recent X-rays labelled and run validate_site."
    ),
    "scope_score": _EQUIPMENT,
    "out_of_scope": _EQUIPMENT,
    "unsure": _(
        "The model's limits may not suit your X-rays. Have about 100 recent X-rays labelled and "
        "run validate_site."
    ),
    "aspect": _EQUIPMENT,
    "cut_off": _POSITION,
    "too_small": _POSITION,
    "tilted": _POSITION,
    "overexposed": _EXPOSURE,
    "underexposed": _EXPOSURE,
}


def report(
    version: ModelVersion | None, recent: Sequence[Observed], first: Sequence[Observed] = ()
) -> Report:
    """Compare recent readings with the reference of the model that made them.

    Args:
        version: the active model.
        recent: its most recent readings.
        first: its first readings at this site, without those in `recent`; may be empty.
    """
    if version is None:
        return Report("no model")
    if len(recent) < LEAST:
        return Report("too few", version.name, len(recent))
    reference = reference_of(version)
    if not reference:
        return Report("no reference", version.name, len(recent))
    own = first if len(first) >= LEAST else ()
    names = _own_names(recent, own)
    alpha = ALPHA / (4 + len(names))
    changes = [*_against_card(version, reference, recent, alpha)]
    changes += [_against_first(name, own, recent, alpha) for name in names]
    return Report(
        status="alarm" if any(change.alarm for change in changes) else "ok",
        model=version.name,
        n=len(recent),
        reference_n=len(reference),
        changes=tuple(changes),
        own=names,
        missing=not own,
    )


def _against_card(
    version: ModelVersion, reference: Sequence[Observed], recent: Sequence[Observed], alpha: float
) -> list[Change]:
    rule, limit = DecisionRule.of(version.card), version.card["scope"]["threshold"]
    scored = [film for film in reference if film.scope_score is not None]
    odds = drift.of_distributions(
        "probability", _log_odds(reference), _log_odds(recent), alpha=alpha
    )
    # Compared as log-odds, shown as probabilities.
    changes = [
        replace(odds, reference=_probability(odds.reference), current=_probability(odds.current))
    ]
    if scored:
        changes += [
            drift.of_distributions("scope_score", _scores(scored), _scores(recent), alpha=alpha),
            drift.of_shares(
                "out_of_scope", _flagged(scored, limit), _flagged(recent, limit), alpha=alpha
            ),
        ]
    before, now = _unsure(reference, rule, limit), _unsure(recent, rule, limit)
    if before[1] and now[1]:
        changes.append(drift.of_shares("unsure", before, now, alpha=alpha))
    return changes


def _own_names(recent: Sequence[Observed], own: Sequence[Observed]) -> tuple[str, ...]:
    if not own:
        return ()
    names = ["aspect"] if all(film.aspect for film in (*recent, *own)) else []
    if all(film.hints is not None for film in (*recent, *own)):
        seen = {name for film in (*recent, *own) for name in film.hints or ()}
        names += [name for name in HINTS if name in seen]
    return tuple(names)


def _against_first(
    name: str, first: Sequence[Observed], recent: Sequence[Observed], alpha: float
) -> Change:
    if name == "aspect":
        before, now = ([film.aspect or 0 for film in films] for films in (first, recent))
        return drift.of_distributions(name, np.array(before), np.array(now), alpha=alpha)
    old, new = (
        (sum(name in (film.hints or ()) for film in films), len(films)) for films in (first, recent)
    )
    return drift.of_shares(name, old, new, alpha=alpha)


def _log_odds(films: Sequence[Observed]) -> list[float]:
    least = 1 / (1 + math.exp(MOST_LOG_ODDS))
    bounded = (min(1 - least, max(least, film.probability)) for film in films)
    return [math.log(p / (1 - p)) for p in bounded]


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def _scores(films: Sequence[Observed]) -> list[float]:
    return [film.scope_score or 0.0 for film in films]


def _is_flagged(film: Observed, limit: float) -> bool:
    return film.scope_score is not None and film.scope_score > limit


def _flagged(films: Sequence[Observed], limit: float) -> tuple[int, int]:
    return sum(_is_flagged(film, limit) for film in films), len(films)


def _unsure(films: Sequence[Observed], rule: DecisionRule, limit: float) -> tuple[int, int]:
    inside = [film for film in films if not _is_flagged(film, limit)]
    return sum(rule.result(film.probability) == UNSURE for film in inside), len(inside)


def reference_of(version: ModelVersion) -> tuple[Observed, ...]:
    """Return the reference films of a model; empty if its bundle has none.

    The test films; of a model that was derived for a site, its films there.
    """
    try:
        content = registry.file_of(version, PREDICTIONS)
    except registry.ModelUnavailable:
        return ()
    split = "validation" if version.card.get("derived") else "test"
    return _read(content, split)


@lru_cache(maxsize=4)
def _read(content: bytes, split: str) -> tuple[Observed, ...]:
    rows = csv.DictReader(io.StringIO(content.decode("utf-8")))
    return tuple(
        Observed(
            float(row["probability"]), float(row["scope_score"]) if row["scope_score"] else None
        )
        for row in rows
        if row["split"] == split
    )
