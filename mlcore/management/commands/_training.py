"""What `train_model` checks and decides before it loads TensorFlow."""

import json
import tempfile
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console

from mlcore.engine.data import dataset, public_set
from mlcore.engine.data.population import NOT_STATED, PRESETS, PUBLIC_PAEDIATRIC


def refuse_unwritable(root: Path) -> None:
    """Create the folder of bundles and a file in it, before minutes of work."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=root):
            pass
    except OSError as error:
        raise CommandError(
            f"{root} cannot be written ({error.strerror}). Choose another folder with --out."
        ) from error


def stated_population(name: str | None) -> dict[str, Any] | None:
    if name is None:
        return None
    if name in PRESETS:
        return PRESETS[name]
    path = Path(name)
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read as JSON: {error}") from error
    missing = sorted(set(PUBLIC_PAEDIATRIC) - set(stated if isinstance(stated, dict) else ()))
    if missing:
        raise CommandError(f"{path} lacks: {', '.join(missing)}.")
    return stated


def recognised_population(manifest: dataset.Manifest, console: Console) -> dict[str, Any]:
    """Return the population of the public set if every film is of it, otherwise NOT_STATED."""
    if public_set.check(manifest).is_part:
        console.print("Every film is of the public paediatric set; the card states its population.")
        return PUBLIC_PAEDIATRIC
    console.print(
        "Population: not stated. The films are not those of the public paediatric set. Without "
        "--population the model can be neither activated nor give labels."
    )
    return NOT_STATED
