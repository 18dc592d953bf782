"""Evaluations of registered models: figures that a bundle's card cannot hold.

They come from three places: the out-of-fold and test predictions in the bundle, `evaluate_model
--record`, and a supplement, the file `<bundle>.evaluations.json` beside a bundle's folder, with
which a shipped model brings figures that were measured after its card was written.
"""

import datetime
import json
import logging
import warnings
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from mlcore.engine.evaluation import outcomes
from mlcore.engine.evaluation.compare import PREDICTIONS, TRAINED_ON
from mlcore.engine.metrics import UndefinedMetricWarning
from mlcore.engine.serving import bundle as bundles
from mlcore.models import Evaluation, ModelVersion
from xraysite.common.atomic_write import write_atomically

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1
SUFFIX = ".evaluations.json"
# The keys of an entry in a supplement.
KEYS = ("title", "kind", "origin", "n", "data_sha256", "measured_on", "note", "figures")


class EvaluationError(ValueError):
    """Raised when an evaluation cannot be recorded; the message says why."""


def supplement_of(folder: Path) -> Path:
    """Return the path of the supplement of the bundle in `folder`."""
    return folder.with_name(folder.name + SUFFIX)


def take_in(version: ModelVersion, folder: Path) -> list[Evaluation]:
    """Record the evaluations that come with a bundle and are not recorded yet.

    Args:
        version: the registered version.
        folder: the folder of its bundle, verified.

    Raises:
        EvaluationError: the supplement is invalid or of another bundle.
    """
    known = set(version.evaluations.values_list("title", flat=True))
    new = [entry for entry in _of_bundle(version, folder) if entry.title not in known]
    supplement = supplement_of(folder)
    if supplement.is_file():
        entries = read_supplement(supplement, sha256=version.bundle_sha256)
        new += [Evaluation(version=version, **e) for e in entries if e["title"] not in known]
    return [saved(entry) for entry in new]


def _of_bundle(version: ModelVersion, folder: Path) -> list[Evaluation]:
    """Return the figures of the rule on the films in the bundle's `predictions.csv`, if any."""
    expected = version.card.get("files", {}).get(PREDICTIONS)
    path = folder / PREDICTIONS
    if expected is None or not path.is_file():
        return []
    content = path.read_bytes()
    if bundles.digest(content) != expected:
        return []
    fitted = (version.card.get("derived") or {}).get("date")
    finished = fitted or version.card.get("training", {}).get("finished", "")
    found = []
    for split in (Evaluation.Kind.VALIDATION, Evaluation.Kind.TEST):
        try:
            with warnings.catch_warnings():
                # A rule that calls no film PNEUMONIA has no predictive value; it is stored as null.
                warnings.simplefilter("ignore", UndefinedMetricWarning)
                measured = outcomes.of_predictions(content, split=split, card=version.card)
        except (ValueError, KeyError) as error:
            logger.warning("%s of %s gives no figures: %s", PREDICTIONS, version.name, error)
            return []
        if measured is not None:
            found.append(
                Evaluation(
                    version=version,
                    kind=split,
                    origin=Evaluation.Origin.BUNDLE,
                    title=split.value,
                    data_sha256=measured["data_sha256"],
                    n=measured["n"],
                    figures=bundles.finite({"decision": measured["decision"]}),
                    measured_on=_date(finished[:10]) or timezone.localdate(),
                )
            )
    return found


def record(
    version: ModelVersion,
    *,
    title: str,
    figures: dict[str, Any],
    data_sha256: str,
    note: str = "",
) -> Evaluation:
    """Record what `evaluate_model` measured on an external set.

    Measuring the same films again gives the row that exists.

    Raises:
        EvaluationError: another set has this title, or the films are already recorded with other
            figures.
    """
    new = Evaluation(
        version=version,
        kind=Evaluation.Kind.EXTERNAL,
        origin=Evaluation.Origin.MEASURED,
        title=title,
        data_sha256=data_sha256,
        n=figures["n"],
        figures=bundles.finite(figures),
        note=note,
        measured_on=timezone.localdate(),
    )
    same = version.evaluations.filter(data_sha256=data_sha256).first()
    if same is not None:
        if same.decision == new.decision:
            return same
        raise EvaluationError(
            f"These films are recorded as {same.title!r} ({same.measured_on}) with other figures. "
            "A recorded evaluation is not changed."
        )
    return saved(new)


def saved(evaluation: Evaluation) -> Evaluation:
    """Save a new evaluation.

    Raises:
        EvaluationError: the version has one with this title or on the same films.
    """
    try:
        with transaction.atomic():
            evaluation.save(force_insert=True)
    except IntegrityError as error:
        raise EvaluationError(
            f"{evaluation.version.name} already has an evaluation with the title "
            f"{evaluation.title!r} or on the same films."
        ) from error
    return evaluation


def read_supplement(path: Path, *, sha256: str) -> list[dict[str, Any]]:
    """Read a supplement.

    Returns:
        One dictionary per evaluation, with the fields of `Evaluation` in `KEYS`.

    Raises:
        EvaluationError: the file cannot be read, an entry is invalid, or it is of another bundle.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format_version"] != FORMAT_VERSION or content["bundle_sha256"] != sha256:
            raise EvaluationError(
                f"{path} must have format version {FORMAT_VERSION} and be of bundle {sha256}. "
                f"Received: {content['format_version']} and {content['bundle_sha256']}."
            )
        return [_entry(entry) for entry in content["evaluations"]]
    except (OSError, KeyError, TypeError) as error:
        raise EvaluationError(f"{path} cannot be read: {error!r}") from error
    except json.JSONDecodeError as error:
        raise EvaluationError(f"{path} is not valid JSON: {error}") from error


def _entry(entry: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(entry) ^ set(KEYS))
    day = _date(entry.get("measured_on", ""))
    valid = (
        not unknown
        and day is not None
        and entry["kind"] == Evaluation.Kind.EXTERNAL
        and entry["origin"] in Evaluation.Origin.values
        and isinstance(entry["n"], int)
        and isinstance(entry["figures"], dict)
    )
    if not valid:
        raise EvaluationError(f"Invalid evaluation. Received: {str(entry)[:120]}.")
    return entry | {"measured_on": day}


def write_supplement(path: Path, evaluation: Evaluation) -> None:
    """Add an evaluation to a supplement, or replace the one with its title.

    Raises:
        EvaluationError: the file that exists is invalid or of another bundle.
        OSError: the file cannot be written.
    """
    sha256 = evaluation.version.bundle_sha256
    entries = read_supplement(path, sha256=sha256) if path.exists() else []
    entries = [entry for entry in entries if entry["title"] != evaluation.title]
    entries.append({key: getattr(evaluation, key) for key in KEYS})
    content = {
        "format_version": FORMAT_VERSION,
        "bundle_sha256": sha256,
        "evaluations": [
            entry | {"measured_on": entry["measured_on"].isoformat()} for entry in entries
        ],
    }
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, f"{text}\n".encode(), mode=0o644)


def trained_on(folder: Path) -> set[str]:
    """Return the pixel hashes of the films that a bundle was trained or fitted on, if it has them.

    With several networks, every film of the validation predictions trained all but one of them.
    """
    try:
        content = (folder / PREDICTIONS).read_bytes()
        return {
            pixels
            for split in ("validation", TRAINED_ON)
            for pixels in outcomes.pixels_of(content, split=split)
        }
    except (OSError, ValueError):
        return set()


def _date(text: str) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(text)
    except (TypeError, ValueError):
        return None
