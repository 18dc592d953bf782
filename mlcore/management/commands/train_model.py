import importlib.util
from argparse import ArgumentParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from rich.console import Console

from mlcore import registry
from mlcore.engine.data import audit, dataset
from mlcore.engine.data.population import PRESETS
from mlcore.engine.serving.bundle import BundleError
from mlcore.engine.serving.preprocess import Preprocessing
from mlcore.engine.training.squashed import SquashedFilms
from mlcore.management.commands._common import add_ignore_folder
from mlcore.management.commands._figures import shown
from mlcore.management.commands._library_log import library_messages
from mlcore.management.commands._progress import training_progress
from mlcore.management.commands._training import (
    add_lung_arguments,
    add_outliers,
    recognised_population,
    refuse_lungless,
    refuse_missing_folders,
    refuse_missing_splits,
    refuse_unwritable,
    stated_population,
    training_options,
)
from mlcore.management.commands.audit_dataset import receipts_folder
from mlcore.models import ModelVersion

# The names in engine.training.architectures, which imports Keras.
ARCHITECTURES = ("resnet_fine", "resnet_small", "seed_cnn")
# Only installed by `make install-train`; not needed for serving.
NEEDED_TO_TRAIN = ("tensorflow", "keras", "matplotlib", "scipy")
REPORTED = ("auc", "ece", "out_of_scope_rate", "accuracy", "sensitivity", "specificity")

if TYPE_CHECKING:
    from mlcore.engine.training.plan import Plan


class Command(BaseCommand):
    help = (
        "Train a model on a folder with the class folders NORMAL and PNEUMONIA, split by patient, "
        "and register its bundle without activating it. After an interruption, the same command "
        "resumes after the last finished epoch."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--data", type=Path, required=True, help="folder with class folders (required)")
        add_ignore_folder(parser)
        add("--name", required=True, help="name of the new model (required)")
        add("--epochs", type=int, default=15, help="passes over the films (default: 15)")
        add(
            "--image-size",
            type=int,
            help="side of the network's input in pixels: a multiple of 16, at least 32 (default: "
            "128, or 112 with --lungs)",
        )
        add("--seed", type=int, default=0, help="seed of every random operation (default: 0)")
        add(
            "--arch",
            choices=ARCHITECTURES,
            help="architecture of each network (default: resnet_small; resnet_fine with --lungs)",
        )
        add("--out", type=Path, default=None, help="folder of bundles (default: BUNDLE_DIR)")
        add(
            "--members",
            type=int,
            default=1,
            help="ensemble members to train and average, each leaving out another block of "
            "patients; calibration and threshold then use out-of-fold predictions of all "
            "patients (default: 1)",
        )
        add_outliers(parser)
        add_lung_arguments(parser)
        add(
            "--population",
            help="JSON file that describes the patients, like a card's `population`, or "
            f"{', '.join(PRESETS)} (default: recognise the public paediatric set by its films; "
            "otherwise not stated, and the model cannot be activated)",
        )
        self._add_run_arguments(parser)

    def _add_run_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add(
            "--from",
            dest="start",
            help="name or folder of a bundle to continue training from (default: start from "
            "random weights)",
        )
        add(
            "--patience",
            type=int,
            default=0,
            help="epochs without improvement after which training stops (default: 0, never)",
        )
        add(
            "--unaudited",
            action="store_true",
            help="train even if the data set fails the audit (default: refuse)",
        )
        self._add_hardware_arguments(parser)

    def _add_hardware_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--mixed-precision", action="store_true", help="compute in bfloat16 (default: float32)")
        add(
            "--deterministic",
            action="store_true",
            help="bit-identical weights in every run, at some cost in speed (default: off)",
        )
        add(
            "--strategy",
            choices=("none", "mirrored", "workers"),
            default="none",
            help="divide each batch among the GPUs of this machine (mirrored) or among several "
            "machines (workers: set TF_CONFIG and start the same command on each, with --data "
            "and --out on a disk that all of them share) (default: none)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._require_training_packages()
        self._refuse_nonsense(options)
        root = options["out"] or Path(settings.BUNDLE_DIR)
        refuse_unwritable(root)
        self._refuse_name_in_use(options["name"], root)
        stated = stated_population(options["population"])
        console = Console()
        films = SquashedFilms(Preprocessing())
        manifest = self._audited(
            options["data"],
            films,
            console,
            forgiving=options["unaudited"],
            ignored=options["ignore_folder"],
        )
        refuse_missing_splits(manifest, options["data"], members=options["members"])
        population = stated or recognised_population(manifest, console)
        log = root / f".training-{options['name']}.log"
        console.print(f"Loading TensorFlow; messages of libraries go to {log} ...", soft_wrap=True)
        with library_messages(log):
            bundle = self._build(options, manifest, films, root, console, population)
            if bundle is None:
                console.print("This worker is done. The chief evaluates and writes the bundle.")
                return
            version = self._registered(bundle.folder)
        self._report(bundle.card, console)
        console.print(
            f"Registered {version.name} ({bundle.sha256[:12]}), not active. To activate it: "
            f"manage.py activate_model {version.name}",
            soft_wrap=True,
        )

    def _registered(self, folder: Path) -> ModelVersion:
        try:
            return registry.register(folder)
        except (registry.NameInUse, registry.ModelUnavailable) as error:
            raise CommandError(f"{folder} is complete but not registered: {error}") from error

    def _require_training_packages(self) -> None:
        """Check for the packages before spending minutes on reading and auditing films."""
        missing = [name for name in NEEDED_TO_TRAIN if importlib.util.find_spec(name) is None]
        if missing:
            raise CommandError(
                f"Training needs packages that are not installed: {', '.join(missing)}. "
                "Install TensorFlow, Keras and the other training packages with: make install-train"
            )

    def _refuse_nonsense(self, options: dict[str, Any]) -> None:
        if not options["name"].replace("-", "").replace("_", "").isalnum():
            raise CommandError("Model names may only contain letters, digits, '-' and '_'.")
        for name in ("epochs", "members"):
            if options[name] < 1:
                raise CommandError(f"--{name} must be at least 1. Received: {options[name]}.")
        if options["image_size"] is None:
            options["image_size"] = 112 if options["lungs"] else 128
        if options["image_size"] < 32 or options["image_size"] % 16:
            raise CommandError(
                "--image-size must be a multiple of 16, at least 32. "
                f"Received: {options['image_size']}."
            )
        if options["patience"] < 0:
            raise CommandError(f"--patience must not be negative. Received: {options['patience']}.")
        refuse_missing_folders(*options["outliers"], options["lungs"], options["external"])
        refuse_lungless(options)

    def _refuse_name_in_use(self, name: str, root: Path) -> None:
        """Check before training what `registry.register` would refuse afterwards.

        A registered name belongs to its bundle for ever, active or not: readings refer to it.
        Unfinished training under the name is no obstacle, it is resumed.
        """
        try:
            place = registry.place_of(name, root)
        except DatabaseError as error:
            raise CommandError(
                f"The database is not ready ({error}). Run migrate first."
            ) from error
        if place is None:
            return
        free = registry.free_name(name, root)
        if place == registry.REGISTRY:
            raise CommandError(
                f"A registered model is already named {name!r}, and readings may refer to it. "
                f"Choose another name, for example: --name {free}"
            )
        raise CommandError(
            f"A bundle named {name!r} already exists in {place}. Choose another name, for example: "
            f"--name {free}"
        )

    def _audited(
        self,
        data: Path,
        films: SquashedFilms,
        console: Console,
        *,
        forgiving: bool,
        ignored: list[str],
    ) -> dataset.Manifest:
        """Read a data set, audit it if it has no receipt, and refuse one with faults.

        Adds each film to `films` while it is decoded.
        """
        console.print(f"Reading {data} ...")
        try:
            manifest = dataset.scan(data, ignored=ignored, on_film=films.add)
        except dataset.DatasetError as error:
            raise CommandError(str(error)) from error
        for unreadable in manifest.unreadable:
            console.print(f"Skipped: {unreadable.path}: {unreadable.reason}")
        folder = receipts_folder()
        if audit.has_receipt(folder, manifest):
            return manifest
        console.print("This data set has not been audited yet; auditing it ...")
        found = audit.audited(manifest)
        faults = _faults(found)
        if faults and not forgiving:
            raise CommandError(
                f"{' '.join(faults)} See: manage.py audit_dataset --data {data}. "
                "Use --unaudited to train anyway."
            )
        for fault in faults:
            console.print(f"Warning: {fault}")
        if not faults:
            audit.write_receipt(folder, manifest, found)
        return manifest

    def _build(
        self,
        options: dict[str, Any],
        manifest: dataset.Manifest,
        films: SquashedFilms,
        root: Path,
        console: Console,
        population: dict[str, Any],
    ) -> Any:
        with console.status("Loading TensorFlow"):
            from mlcore.engine.training import build

        chosen = training_options(options)
        try:
            plan = _plan(options, root, population)
            with training_progress(console, chosen, members=plan.members) as progress:
                return build.build(
                    plan,
                    manifest,
                    films,
                    chosen,
                    progress=progress,
                    on_stage=progress.stage,
                )
        except (ValueError, dataset.DatasetError, BundleError) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt as error:
            raise CommandError(
                "Interrupted. The same command resumes after the last finished epoch."
            ) from error

    def _report(self, card: dict[str, Any], console: Console) -> None:
        for name, figures in card["metrics"].items():
            said = {key: shown(figures[key], key) for key in REPORTED}
            console.print(
                f"{name}: n {figures['n']}, AUC {said['auc']}, ECE {said['ece']}, out of scope "
                f"{said['out_of_scope_rate']}; {_called(figures['decision'])}; at the ranking "
                f"threshold: accuracy {said['accuracy']}, sensitivity {said['sensitivity']}, "
                f"specificity {said['specificity']}",
                soft_wrap=True,
            )


def _called(decision: dict[str, Any]) -> str:
    """Return what films of either label are called by the rule of decision."""
    return "; ".join(
        f"{label} called "
        + ", ".join(f"{result} {shown(row['share'], 'share')}" for result, row in called.items())
        for label, called in decision["called"].items()
    )


def _faults(found: dict[str, Any]) -> list[str]:
    """Return the findings of an audit that rule out training."""
    faults = []
    leaks = found["leaks"]
    if leaks["found"]:
        faults.append(
            f"The data set's own split leaks: {len(leaks['patients'])} patients, "
            f"{len(leaks['exact'])} exact and {len(leaks['near'])} near-duplicate pairs are in "
            "more than one split."
        )
    if conflicts := len(found["label_conflicts"]):
        faults.append(f"{conflicts} films are in the data set with both labels.")
    return faults


def _plan(options: dict[str, Any], root: Path, population: dict[str, Any]) -> "Plan":
    from mlcore.engine.training import backend
    from mlcore.engine.training.plan import Plan

    # First: a distribution across workers must exist before any network does.
    distribution = backend.prepare(options["strategy"], deterministic=options["deterministic"])
    return Plan(
        name=options["name"],
        root=root,
        population=population,
        members=options["members"],
        outliers=tuple(options["outliers"]),
        masks=options["lungs"],
        external=options["external"],
        start=_network(options["start"]),
        started_from=options["start"],
        distribution=distribution,
    )


def _network(name: str | None) -> Any:
    """Load the trained network of a verified bundle."""
    if name is None:
        return None
    from mlcore.engine.serving import bundle
    from mlcore.engine.training import architectures

    folder = Path(name) if "/" in name else registry.folder_of(name)
    try:
        return architectures.read(bundle.read(folder).folder / bundle.KERAS)
    except FileNotFoundError as error:
        raise CommandError(str(error)) from error
