"""Activation gates: measured figures and the limits that a model must meet before activation.

A figure that was not measured does not pass. Each gate can be overridden by name, with a reason
that is kept on the model's row. The golden outputs and the integrity of the files are verified
whenever a bundle is loaded, within `golden.TOLERANCE`, and cannot be overridden.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mlcore.engine.data.dataset import LABELS
from mlcore.models import Evaluation, ModelVersion

logger = logging.getLogger(__name__)

SUFFIX = ".overrides.json"
PASSED, FAILED, NOT_MEASURED = "passed", "failed", "not measured"
# Smaller sets of outliers say nothing about the scope gate.
OUTLIERS = 50


@dataclass(frozen=True)
class Gate:
    """One requirement.

    Attributes:
        name: what `--override` calls it.
        title: what is measured.
        floor: the limit that the figure must reach, or stay at or below.
        at_least: whether the figure must be at least the floor; otherwise at most.
        measure: from a version to the figure; None if it was not measured.
        why: the reason for the limit.
    """

    name: str
    title: Promise
    floor: float
    at_least: bool
    measure: Callable[[ModelVersion], float | None]
    why: Promise


@dataclass(frozen=True)
class Result:
    """A gate applied to a model version."""

    gate: Gate
    value: float | None
    floor: float
    override: str = ""

    @property
    def status(self) -> str:
        """PASSED, FAILED or NOT_MEASURED."""
        if self.value is None:
            return NOT_MEASURED
        meets = self.value >= self.floor if self.gate.at_least else self.value <= self.floor
        return PASSED if meets else FAILED

    @property
    def passed(self) -> bool:
        return self.status == PASSED


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _figures(version: ModelVersion, split: str) -> Mapping[str, Any]:
    found = (version.card.get("metrics") or {}).get(split)
    return found if isinstance(found, Mapping) else {}


def _held_out(version: ModelVersion) -> list[Mapping[str, Any]]:
    """Return the figures of the test split and of every external set, on the card or recorded."""
    sets = [_figures(version, "test"), version.card.get("external") or {}]
    if version.pk:
        kinds = (Evaluation.Kind.TEST, Evaluation.Kind.EXTERNAL)
        # All, because lists prefetch them.
        sets += [row.figures for row in version.evaluations.all() if row.kind in kinds]
    return [figures for figures in sets if figures]


def _worst(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None


def _validation_films(version: ModelVersion) -> float | None:
    confusion = _figures(version, "validation").get("confusion") or {}
    cells = [_number(confusion.get(key)) for key in ("tp", "fn", "tn", "fp")]
    tp, fn, tn, fp = cells
    if tp is None or fn is None or tn is None or fp is None:
        return None
    return min(tp + fn, tn + fp)


def _test_films(version: ModelVersion) -> float | None:
    return _number(_figures(version, "test").get("n"))


def _auc_lower(version: ModelVersion) -> float | None:
    interval = _figures(version, "test").get("auc_ci")
    return _number(interval[0]) if isinstance(interval, list) and interval else None


def _called(label: str, result: str) -> Callable[[ModelVersion], float | None]:
    def measure(version: ModelVersion) -> float | None:
        shares = []
        for figures in _held_out(version):
            called = ((figures.get("decision") or {}).get("called") or {}).get(label) or {}
            shares.append(_number((called.get(result) or {}).get("share")))
        return _worst(shares)

    return measure


def _ece(version: ModelVersion) -> float | None:
    return _worst([_number(figures.get("ece")) for figures in _held_out(version)])


def _abstention(version: ModelVersion) -> float | None:
    return _worst([_number(figures.get("unsure_rate")) for figures in _held_out(version)])


def _refused_in_scope(version: ModelVersion) -> float | None:
    return _worst([_number(figures.get("out_of_scope_rate")) for figures in _held_out(version)])


def _refused_outliers(version: ModelVersion) -> float | None:
    rows = (version.card.get("scope") or {}).get("measured") or []
    # Rotated and synthetic films are easy: without films of other patients nothing is known.
    rows = [row for row in rows if row["set"].startswith("adult") and row["n"] >= OUTLIERS]
    shares = [_number(row["flagged"]) for row in rows]
    known = [share for share in shares if share is not None]
    return min(known) if known else None


def _probe(name: str) -> Callable[[ModelVersion], float | None]:
    def measure(version: ModelVersion) -> float | None:
        for row in (version.card.get("shortcuts") or {}).get("probes") or []:
            if row.get("probe") == name:
                return _number(row.get("auc"))
        return None

    return measure


def _population(version: ModelVersion) -> float | None:
    stated = version.card.get("population") or {}
    keys = ("age_years", "view", "modality", "body_part", "sites")
    return 1.0 if all(stated.get(key) for key in keys) else 0.0


GATES: tuple[Gate, ...] = (
    Gate("validation_films", _("Validation X-rays with the less common label"), 100, True,
         _validation_films, _("Limits fitted on fewer X-rays vary too much.")),
    Gate("test_films", _("Number of held-out test X-rays"), 100, True,
         _test_films, _("Figures on fewer X-rays are too uncertain.")),
    Gate("auc", _("AUC on the test set, lower confidence bound"), 0.9, True,
         _auc_lower, _("Below this, the ranking is too weak to support a decision.")),
    Gate("sick_called_normal", _("With pneumonia, called normal (worst set)"), 0.05, False,
         _called(LABELS[1], LABELS[0]), _("A false negative can leave pneumonia untreated.")),
    Gate("well_called_pneumonia", _("Without pneumonia, called pneumonia (worst set)"), 0.1, False,
         _called(LABELS[0], LABELS[1]), _("A false positive can lead to unnecessary treatment.")),
    Gate("ece", _("Calibration error, ECE (worst set)"), 0.1, False,
         _ece, _("Doctors rely on the displayed probability, so it must match the observed "
                 "frequency.")),
    Gate("abstention", _("Inconclusive X-rays (worst set)"), 0.25, False,
         _abstention, _("A model that rarely decides is of no use.")),
    Gate("scope_outliers", _("Adults' X-rays flagged as out of scope (worst set)"), 0.95, True,
         _refused_outliers, _("X-rays outside the population must not get a label.")),
    Gate("scope_in_scope",
         _("X-rays from the intended population flagged as out of scope (worst set)"), 0.05, False,
         _refused_in_scope, _("X-rays of patients in scope should get a result.")),
    Gate("lungs_masked", _("AUC with the lungs masked"), 0.75, False,
         _probe("lungs_masked"),
         _("A high value shows that the model uses areas outside the lungs.")),
    Gate("frame_alone", _("AUC on the borders only"), 0.65, False,
         _probe("frame_alone"),
         _("A high value suggests shortcut learning from markers or borders.")),
    Gate("population", _("Population stated (1 = yes, 0 = no)"), 1, True,
         _population, _("Without it, out-of-scope patients cannot be recognised.")),
)  # fmt: skip
NAMES = tuple(gate.name for gate in GATES)


class GateError(ValueError):
    """Raised when an override or a limit in the settings is invalid."""


def floor_of(gate: Gate) -> float:
    """Return the limit of a gate: the stricter of its own and `settings.ACTIVATION_FLOORS`.

    Raises:
        GateError: the settings ask for a less strict limit.
    """
    asked = getattr(settings, "ACTIVATION_FLOORS", {}).get(gate.name, gate.floor)
    if (asked < gate.floor) if gate.at_least else (asked > gate.floor):
        raise GateError(
            f"ACTIVATION_FLOORS may only be stricter than the limit of {gate.name}, "
            f"{gate.floor:g}. Received: {asked:g}. Override the gate with a reason instead."
        )
    return float(asked)


def checked_overrides(overrides: Mapping[str, str]) -> dict[str, str]:
    """Return overrides with trimmed reasons.

    Raises:
        GateError: a gate is unknown or a reason is empty.
    """
    if unknown := sorted(set(overrides) - set(NAMES)):
        raise GateError(f"Unknown gates: {', '.join(unknown)}. Gates: {', '.join(NAMES)}.")
    trimmed = {name: reason.strip() for name, reason in overrides.items()}
    if empty := sorted(name for name, reason in trimmed.items() if not reason):
        raise GateError(f"Give a reason for the override of: {', '.join(empty)}.")
    return trimmed


def shipped_overrides(version: ModelVersion) -> dict[str, str]:
    """Return the overrides in the repository beside a shipped bundle, if they are of this bundle.

    Raises:
        GateError: the file is invalid.
    """
    path = Path(settings.SHIPPED_BUNDLE_DIR) / f"{version.name}{SUFFIX}"
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["bundle_sha256"] != version.bundle_sha256:
            return {}
        return checked_overrides(content["overrides"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GateError(f"{path} is invalid: {error}") from error


def results(version: ModelVersion, overrides: Mapping[str, str] | None = None) -> list[Result]:
    """Apply every gate to a version.

    Args:
        version: a registered model version.
        overrides: reasons by gate, in addition to those kept on the row and shipped ones.

    Raises:
        GateError: an override or a limit in the settings is invalid.
    """
    reasons = shipped_overrides(version) | version.gate_overrides
    reasons |= checked_overrides(overrides or {})
    found = []
    for gate in GATES:
        result = Result(gate, gate.measure(version), floor_of(gate))
        reason = "" if result.passed else reasons.get(gate.name, "")
        found.append(Result(gate, result.value, result.floor, reason))
    return found


def known_results(version: ModelVersion) -> list[Result]:
    """Return the results for a page, which never fails.

    If a limit in the settings or a file of shipped overrides is invalid, the gates' own limits
    and the overrides kept on the row are used.
    """
    try:
        return results(version)
    except GateError as error:
        logger.error("The activation gates of %s: %s", version, error)
    kept = version.gate_overrides
    return [
        Result(gate, gate.measure(version), gate.floor, kept.get(gate.name, "")) for gate in GATES
    ]


def blocking(found: list[Result]) -> list[Result]:
    """Return the results that prevent activation: not passed and not overridden."""
    return [result for result in found if not result.passed and not result.override]
