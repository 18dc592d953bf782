"""External evaluations: what others measured, dropped into a bundle's folder as JSON files.

`<bundle>/external/*.json` are files of `evaluate_model --json` or `validate_site --json` with the
name of the data and who measured. The bundle's hash does not cover them, so each is checked and
then kept in the registry like every other evaluation (see `mlcore.evaluations`), where it never
changes. A file that is not accepted is refused with a reason and changes nothing.
"""

import datetime
import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.utils import timezone

from mlcore.engine import metrics
from mlcore.engine.evaluation import outcomes
from mlcore.engine.serving.bundle import finite
from mlcore.engine.serving.decision import RULE, DecisionRule
from mlcore.evaluations import EvaluationError, saved
from mlcore.models import Evaluation, ModelVersion

logger = logging.getLogger(__name__)

FOLDER = "external"
MAX_BYTES = 5_000_000
TITLE_LENGTH = 120
SHARES = ("auc", "accuracy", "sensitivity", "specificity", "ppv", "npv", "brier", "ece")
OPTIONAL_SHARES = ("out_of_scope_rate", "unsure_rate", "coverage", "accuracy_when_sure")
# A limit on a card and in a file are the same number, written by the same program.
TOLERANCE = 1e-9


class RefusedError(EvaluationError):
    """Raised when a file is not accepted.

    Attributes:
        code: "unreadable", "incomplete", "invalid", "other bundle", "other rule" or "taken".
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code


@dataclass(frozen=True)
class Outcome:
    """What became of a file: "recorded", "known" already, or "refused" with a reason."""

    file: str
    state: str
    reason: str = ""


def files_of(folder: Path) -> list[Path]:
    """Return the files beside the bundle in `folder`, sorted by name."""
    return sorted(path for path in (folder / FOLDER).glob("*.json") if path.is_file())


def take_in(version: ModelVersion, folder: Path) -> list[Outcome]:
    """Record the external evaluations in a bundle's folder that are not recorded yet.

    Args:
        version: the registered version.
        folder: the folder of its bundle.
    """
    found = []
    for path in files_of(folder):
        try:
            evaluation = read(path, version)
            is_new = _save(evaluation)
        except EvaluationError as error:
            logger.warning("%s of %s is refused: %s", path.name, version.name, error)
            found.append(Outcome(path.name, "refused", str(error)))
        else:
            found.append(Outcome(path.name, "recorded" if is_new else "known"))
    return found


def _save(evaluation: Evaluation) -> bool:
    """Save an evaluation unless the same one is there; return whether it is new."""
    others = evaluation.version.evaluations
    same = others.filter(data_sha256=evaluation.data_sha256).first()
    if same is None:
        same = others.filter(title=evaluation.title).first()
    if same is None:
        saved(evaluation)
        return True
    keys = ("title", "data_sha256", "n", "measured_on")
    if all(getattr(same, key) == getattr(evaluation, key) for key in keys) and (
        same.decision == evaluation.decision
    ):
        return False
    raise RefusedError(
        "taken",
        f"{same.title!r} ({same.measured_on}) is recorded with this name or on these films, and a "
        "recorded evaluation is not changed. Use another name in `data`, or remove the file.",
    )


def read(path: Path, version: ModelVersion) -> Evaluation:
    """Read and check a file; nothing is saved.

    Args:
        path: the file.
        version: the model that it must be of.

    Raises:
        RefusedError: the file is not accepted.
    """
    content = _content(path)
    if content.get("bundle_sha256") != version.bundle_sha256:
        raise RefusedError(
            "other bundle",
            f"it was measured on bundle {str(content.get('bundle_sha256'))[:12]} "
            f"({str(content.get('model'))[:100]}), not on {version.bundle_sha256[:12]}.",
        )
    missing = [
        key
        for key in ("data", "measured_by", "date", "n", "data_sha256", "decision", *SHARES)
        if key not in content
    ]
    if missing:
        raise RefusedError(
            "incomplete",
            f"{', '.join(missing)} missing. Write the file with evaluate_model --json --data-name "
            "NAME --measured-by WHO.",
        )
    figures = _figures(content)
    decision = _decision(content, version)
    return Evaluation(
        version=version,
        kind=Evaluation.Kind.EXTERNAL,
        origin=Evaluation.Origin.STATED,
        title=_text(content, "data"),
        data_sha256=_sha256(content),
        n=sum(decision["n"].values()),
        figures=finite(
            figures | {"decision": decision, "measured_by": _text(content, "measured_by")}
        ),
        note=str(content.get("note", ""))[:2000],
        measured_on=_day(content),
    )


def _content(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RefusedError("unreadable", f"it is larger than {MAX_BYTES} bytes.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError("unreadable", str(error)) from error
    except ValueError as error:
        raise RefusedError("unreadable", f"it is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise RefusedError("unreadable", "it does not contain a JSON object.")
    return content


def _invalid(key: str, value: Any) -> RefusedError:
    return RefusedError("invalid", f"{key} is invalid. Received: {str(value)[:60]!r}.")


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content[key]
    if not isinstance(value, str) or not 0 < len(value.strip()) <= TITLE_LENGTH:
        raise _invalid(key, value)
    return value.strip()


def _sha256(content: Mapping[str, Any]) -> str:
    value = content["data_sha256"]
    if not isinstance(value, str) or len(value) != 64 or set(value) - set("0123456789abcdef"):
        raise _invalid("data_sha256", value)
    return value


def _day(content: Mapping[str, Any]) -> datetime.date:
    try:
        day = datetime.date.fromisoformat(content["date"])
    except (TypeError, ValueError) as error:
        raise _invalid("date", content["date"]) from error
    # A day more, because the day begins earlier elsewhere.
    if day > timezone.localdate() + datetime.timedelta(days=1):
        raise RefusedError("invalid", f"date is in the future. Received: {day}.")
    return day


def _is_share(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and 0 <= value <= 1
    )


def _figures(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures with their intervals; null is a figure that is undefined."""
    found: dict[str, Any] = {}
    for key in (*SHARES, *(key for key in OPTIONAL_SHARES if key in content)):
        value, ends = content[key], content.get(f"{key}_ci")
        if value is not None and not _is_share(value):
            raise _invalid(key, value)
        found[key] = value
        if isinstance(ends, list) and len(ends) == 2 and all(map(_is_share, ends)):
            found[f"{key}_ci"] = ends
    return found


def _decision(content: Mapping[str, Any], version: ModelVersion) -> dict[str, Any]:
    """Return the figures of the rule, computed again from the counts in the file."""
    stated, rule = content["decision"], DecisionRule.of(version.card)
    if not isinstance(stated, Mapping):
        raise _invalid("decision", stated)
    limits = (stated.get("lower"), stated.get("upper"))
    same = stated.get("rule") == RULE and all(
        isinstance(limit, int | float) and abs(limit - own) <= TOLERANCE
        for limit, own in zip(limits, (rule.lower, rule.upper), strict=True)
    )
    if not same:
        raise RefusedError(
            "other rule",
            f"it was measured with {stated.get('rule')} {limits}, and the card has {RULE} "
            f"({rule.lower}, {rule.upper}).",
        )
    called = _counted(stated.get("called"), rule, rule.results)
    n = {label: sum(row["count"] for row in rows.values()) for label, rows in called.items()}
    if sum(n.values()) != content["n"] or not all(n.values()):
        raise RefusedError(
            "invalid",
            f"the counts of the rule add up to {sum(n.values())} films with both labels needed, "
            f"and n is {str(content['n'])[:20]}.",
        )
    kinds = (*rule.results, outcomes.OUT_OF_SCOPE)
    shown = stated.get("shown")
    return {
        "rule": RULE,
        "lower": rule.lower,
        "upper": rule.upper,
        "n": n,
        "called": called,
        "shown": None if shown is None else _counted(shown, rule, kinds),
        "by_series": {},
    } | outcomes.predictive_values(called, rule.labels, outcomes.PREVALENCES)


def _counted(stated: Any, rule: DecisionRule, kinds: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for label in (rule.labels[1], rule.labels[0]):
        try:
            counts = {kind: stated[label][kind]["count"] for kind in kinds}
        except (KeyError, TypeError) as error:
            raise _invalid("decision", stated) from error
        if any(type(count) is not int or count < 0 for count in counts.values()):
            raise _invalid("decision", counts)
        n = sum(counts.values())
        found[label] = {
            kind: {
                "count": count,
                "share": count / n if n else None,
                "ci": list(metrics.wilson_interval(count, n)),
            }
            for kind, count in counts.items()
        }
    return found
