import json
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from mlcore import registry
from mlcore.engine import dataset
from mlcore.engine.bundle import BundleError
from mlcore.engine.population import PUBLIC_PAEDIATRIC

if TYPE_CHECKING:
    from mlcore.engine.training import EpochResult


class ConsoleProgress:
    """Shows a run's epochs, steps, loss and accuracy; implements `training.Progress`."""

    def __init__(self, bar: Progress, epochs: int, films: int) -> None:
        self.bar, self.epochs, self.films = bar, epochs, films
        self.task: TaskID | None = None

    def resumed(self, epoch: int) -> None:
        self.bar.console.print(f"Going on after epoch {epoch} of an earlier run.")

    def step(self, epoch: int, done: int, steps: int, loss: float, accuracy: float) -> None:
        shown = f"loss {loss:.4f}  accuracy {accuracy:.4f}"
        if self.task is None:
            self.task = self.bar.add_task(f"Epoch {epoch}/{self.epochs}", total=steps, shown=shown)
        self.bar.update(self.task, completed=done, shown=shown)

    def epoch(self, result: "EpochResult") -> None:
        if self.task is not None:
            self.bar.remove_task(self.task)
            self.task = None
        self.bar.console.print(
            f"Epoch {result.epoch}/{self.epochs}: loss {result.loss:.4f}, "
            f"accuracy {result.accuracy:.4f}; validation: loss {result.val_loss:.4f}, "
            f"accuracy {result.val_accuracy:.4f}, AUC {result.val_auc:.4f}; "
            f"{result.seconds:.0f} s, {self.films / result.seconds:.0f} films/s, "
            f"waited for films {result.waited / result.seconds:.0%}"
        )


class Command(BaseCommand):
    help = (
        "Trains a model on a folder of class folders (NORMAL, PNEUMONIA), split by patient, and "
        "registers its bundle without activating it. Started again after an interruption with "
        "the same options, it goes on after the last finished epoch."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--data", type=Path, required=True, help="folder of class folders")
        parser.add_argument("--name", required=True, help="name of the new model")
        parser.add_argument("--epochs", type=int, default=15)
        parser.add_argument("--image-size", type=int, default=224, help="multiple of 16")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--arch", default="resnet_small")
        parser.add_argument(
            "--out", type=Path, default=None, help="folder of bundles (default: the site's)"
        )

        parser.add_argument(
            "--population",
            type=Path,
            help="JSON file that says whom the films show, as a card's `population` does; "
            "without it they are taken to be those of the public paediatric set",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["name"].replace("-", "").replace("_", "").isalnum():
            raise CommandError("A model's name holds letters, digits, '-' and '_' only.")
        if options["epochs"] < 1:
            raise CommandError(f"At least one epoch is needed, got {options['epochs']}.")
        root = options["out"] or Path(settings.BUNDLE_DIR)
        self._refuse_name_in_use(options["name"])
        population = self._population(options["population"])
        console = Console()
        console.print(
            f"The card will say that the films show ages {population['age_years']} from "
            f"{', '.join(population['sites'])}. For others, give --population."
        )
        console.print(f"Auditing {options['data']} ...")
        try:
            manifest = dataset.scan(options["data"])
        except dataset.DatasetError as error:
            raise CommandError(str(error)) from error
        self._refuse_leaks(manifest)
        for unreadable in manifest.unreadable:
            console.print(f"Left out: {unreadable.path}: {unreadable.reason}")
        console.print("Loading TensorFlow ...")
        bundle = self._build(options, manifest, root, console, population)
        version = registry.register(bundle.folder)
        self._report(bundle.card, console)
        console.print(
            f"Registered {version.name} ({bundle.sha256[:12]}), not active. To read films with "
            f"it: manage.py activate_model {version.name}"
        )

    def _refuse_name_in_use(self, name: str) -> None:
        """Asks before the training what `registry.register` would refuse after it."""
        try:
            version = registry.find(name)
        except DatabaseError as error:
            raise CommandError(
                f"The database is not ready ({error}). Run migrate first."
            ) from error
        if version is not None and version.is_active:
            raise CommandError(f"The active model is named {name!r}; choose another name.")

    def _refuse_leaks(self, manifest: dataset.Manifest) -> None:
        stated = any(film.split for film in manifest.films)
        leaks = dataset.find_leaks(manifest)
        if stated and leaks:
            raise CommandError(
                f"The data set's own split leaks: {len(leaks.patients)} patients, "
                f"{len(leaks.exact)} exact and {len(leaks.near)} near-duplicate pairs are on "
                "two sides. See: manage.py audit_dataset"
            )

    def _population(self, path: Path | None) -> dict[str, Any]:
        if path is None:
            return PUBLIC_PAEDIATRIC
        try:
            stated = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CommandError(f"{path} cannot be read as JSON: {error}") from error
        missing = sorted(set(PUBLIC_PAEDIATRIC) - set(stated if isinstance(stated, dict) else ()))
        if missing:
            raise CommandError(f"{path} does not say: {', '.join(missing)}.")
        return stated

    def _build(
        self,
        options: dict[str, Any],
        manifest: dataset.Manifest,
        root: Path,
        console: Console,
        population: dict[str, Any],
    ) -> Any:
        from mlcore.engine import build, training

        chosen = training.Options(
            arch=options["arch"],
            image_size=options["image_size"],
            epochs=options["epochs"],
            seed=options["seed"],
        )
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[shown]}"),
        )
        with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
            progress = ConsoleProgress(bar, chosen.epochs, len(manifest.films) * 8 // 10)
            try:
                return build.build(
                    options["name"],
                    manifest,
                    chosen,
                    root=root,
                    progress=progress,
                    on_stage=lambda stage: console.print(f"{stage.capitalize()} ..."),
                    population=population,
                )
            except (ValueError, dataset.DatasetError, BundleError) as error:
                raise CommandError(str(error)) from error
            except KeyboardInterrupt as error:
                raise CommandError(
                    "Interrupted. The same command goes on after the last finished epoch."
                ) from error

    def _report(self, card: dict[str, Any], console: Console) -> None:
        for name, figures in card["metrics"].items():
            console.print(
                f"{name}: n {figures['n']}, AUC {figures['auc']:.4f}, "
                f"accuracy {figures['accuracy']:.4f}, sensitivity {figures['sensitivity']:.4f}, "
                f"specificity {figures['specificity']:.4f}, ECE {figures['ece']:.4f}, "
                f"out of scope {figures['out_of_scope_rate']:.4f}"
            )
