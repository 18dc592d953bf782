"""What `train_model` checks and decides before it loads TensorFlow."""

import json
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import CommandError
from rich.console import Console

from mlcore.engine.data import dataset, public_set
from mlcore.engine.data.population import NOT_STATED, PRESETS, PUBLIC_PAEDIATRIC

if TYPE_CHECKING:
    from mlcore.engine.training.options import Options


def add_lung_arguments(parser: ArgumentParser) -> None:
    """Add the options of a model that reads the lungs only."""
    add = parser.add_argument
    add(
        "--lungs",
        type=Path,
        metavar="DIR",
        help="folder of lung masks (LABEL/NAME.png; 255 lung, 127 unknown, 0 outside). The model "
        "finds the lungs first and reads nothing else (default: it reads the whole film)",
    )
    add(
        "--lung-epochs",
        type=int,
        default=8,
        help="passes over the films of the network that finds the lungs (default: 8)",
    )
    add(
        "--groups",
        type=int,
        help="number of groups of similar equipment and framing within which both labels are drawn "
        "equally often; 0 draws every film once per epoch (default: 0, or 12 with --lungs)",
    )
    add(
        "--external",
        type=Path,
        metavar="DIR",
        help="folder with class folders of films of another origin. No network is trained on them; "
        "calibration, threshold and abstention are fitted to them as well (default: none)",
    )


def add_outliers(parser: ArgumentParser) -> None:
    """Add the option for films outside the population."""
    parser.add_argument(
        "--outliers",
        type=Path,
        nargs="+",
        default=[],
        metavar="DIR",
        help="folders of chest X-rays outside the population, such as adults', one per source, "
        "that the scope gate learns to refuse; part of the patients is held out to measure "
        "that, and each source is left out once (default: none)",
    )


def refuse_missing_folders(*folders: Path | None) -> None:
    for folder in folders:
        if folder is not None and not folder.is_dir():
            raise CommandError(f"{folder} is not a folder.")


def refuse_missing_splits(manifest: dataset.Manifest, data: Path, *, members: int) -> None:
    """Refuse a data set with split folders of which one that is needed has no films."""
    if any(not film.split for film in manifest.films):
        return  # it will be split by patient
    needed = ("train", "test") if members > 1 else dataset.SPLITS
    missing = [split for split in needed if not manifest.of(split)]
    if missing:
        raise CommandError(
            f"{data} has split folders, but no films in: {', '.join(missing)}. Pass the folder "
            "that contains NORMAL and PNEUMONIA, to have its films split by patient."
        )


def refuse_lungless(options: dict[str, Any]) -> None:
    """Refuse out-of-range numbers, and --from together with --lungs."""
    if options["lung_epochs"] < 1:
        raise CommandError(f"--lung-epochs must be at least 1. Received: {options['lung_epochs']}.")
    if options["groups"] is not None and options["groups"] < 0:
        raise CommandError(f"--groups must not be negative. Received: {options['groups']}.")
    if options["lungs"] and options["start"]:
        raise CommandError("--from cannot be combined with --lungs. Leave out one of them.")


def training_options(options: dict[str, Any]) -> "Options":
    """Return the engine's options for those of the command."""
    from mlcore.engine.training.options import Options

    names = ("image_size", "epochs", "patience", "mixed_precision", "seed")
    chosen = {name: options[name] for name in names}
    chosen["finder_epochs"] = options["lung_epochs"]
    if options["groups"] is not None:
        chosen["groups"] = options["groups"]
    if options["lungs"]:
        return Options.for_lungs(arch=options["arch"] or "resnet_fine", **chosen)
    return Options(arch=options["arch"] or "resnet_small", **chosen)


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
        console.print(
            "All films belong to the public paediatric set; the card will state its population."
        )
        return PUBLIC_PAEDIATRIC
    console.print(
        "Population: not stated. The films are not those of the public paediatric set. Without "
        "--population, the model gives no labels and cannot be activated."
    )
    return NOT_STATED
