"""Recording the figures of `evaluate_model` in the registry."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError
from django.utils import timezone

from mlcore import evaluations, registry
from mlcore.management.commands._common import folder_named
from mlcore.models import Evaluation, ModelVersion
from mlcore.registry import LoadedModel

TITLE_LENGTH = 120
# Of the figures: what the row of an evaluation has already, and what may name a person's files.
NOT_RECORDED = {
    "model", "bundle_sha256", "data_sha256", "unreadable", "date", "data", "measured_by",
}  # fmt: skip


def add_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--record",
        metavar="TITLE",
        help="record the figures in the registry under this name of the data set; the model's page "
        "shows them beside those of its card. A recorded evaluation never changes (default: "
        "record nothing)",
    )
    add(
        "--note",
        default="",
        help="with --record: what a reader should know of the data set (default: empty)",
    )
    add(
        "--supplement",
        type=Path,
        metavar="FILE",
        help="with --record: also add them to this file, to ship it beside the bundle as "
        "<bundle>.evaluations.json (default: none)",
    )
    add(
        "--data-name",
        metavar="NAME",
        help="with --json: what the data set is called, for an external evaluation (default: not "
        "stated)",
    )
    add(
        "--measured-by",
        metavar="WHO",
        help="with --json: who measured, for an external evaluation (default: not stated)",
    )


def stated(options: dict[str, Any]) -> dict[str, Any]:
    """Return what a file of figures states about itself; see `mlcore.external`."""
    names = {"data": options["data_name"], "measured_by": options["measured_by"]}
    return {"date": timezone.localdate().isoformat()} | {
        key: name.strip() for key, name in names.items() if name
    }


def refuse_nonsense(options: dict[str, Any]) -> None:
    title, supplement = options["record"], options["supplement"]
    for name in ("data_name", "measured_by"):
        if options[name] is not None:
            flag = f"--{name.replace('_', '-')}"
            if not options["json"]:
                raise CommandError(f"{flag} needs --json.")
            if not 0 < len(options[name].strip()) <= TITLE_LENGTH:
                raise CommandError(f"{flag} needs at most {TITLE_LENGTH} characters.")
    if title is None:
        for name in ("note", "supplement"):
            if options[name]:
                raise CommandError(f"--{name} needs --record.")
        return
    if not title.strip() or len(title) > TITLE_LENGTH:
        raise CommandError(f"--record needs a title of at most {TITLE_LENGTH} characters.")
    if options["split"]:
        raise CommandError("--record is for data sets other than the model's own, not --split.")
    if supplement is not None and not supplement.parent.is_dir():
        # Before the work, not after it.
        raise CommandError(f"{supplement} cannot be written: {supplement.parent} is not a folder.")


def version_of(model: LoadedModel, name: str | None) -> ModelVersion:
    """Return the row of a model, registering it if it has none, before its films are read.

    Raises:
        CommandError: the model cannot be registered, or its name is that of another bundle.
    """
    try:
        version = registry.find(model.name) or registry.register(
            folder_named(name or settings.SHIPPED_MODEL)
        )
    except (registry.ModelUnavailable, registry.NameInUse) as error:
        raise CommandError(f"{model.name} cannot be registered: {error}") from error
    except DatabaseError as error:
        raise CommandError(f"The database is not ready ({error}). Run migrate first.") from error
    if version.bundle_sha256 != model.sha256:
        raise CommandError(
            f"The registered {model.name} is bundle {version.bundle_sha256[:12]}, but its folder "
            f"has {model.sha256[:12]}. Figures are recorded for the registered bundle only."
        )
    return version


def record(
    version: ModelVersion, figures: dict[str, Any], films: set[str], options: dict[str, Any]
) -> Evaluation:
    """Record the figures, and add them to the supplement if one is named.

    Raises:
        CommandError: the model was trained on some of the films, or they are recorded already with
            other figures, or the supplement cannot be written.
    """
    seen = films & evaluations.trained_on(version.folder)
    if seen:
        raise CommandError(
            f"Not recorded: {len(seen)} of these films are among those that {version.name} was "
            "trained or fitted on."
        )
    kept = {key: value for key, value in figures.items() if key not in NOT_RECORDED}
    try:
        evaluation = evaluations.record(
            version,
            title=options["record"].strip(),
            figures=kept,
            data_sha256=figures["data_sha256"],
            note=options["note"],
        )
        if options["supplement"]:
            evaluations.write_supplement(options["supplement"], evaluation)
    except (evaluations.EvaluationError, OSError) as error:
        raise CommandError(str(error)) from error
    return evaluation
