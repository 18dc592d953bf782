from argparse import ArgumentParser
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import track

from mlcore.engine.data import dataset
from mlcore.engine.evaluation import lungs, predictions, weaknesses
from mlcore.engine.films.film import FilmError, read_film
from mlcore.engine.serving.conformal import Abstention
from mlcore.engine.serving.explain import Reference
from mlcore.engine.serving.runtime import Output, OutputError
from mlcore.management.commands._common import chosen_model, write_json
from mlcore.registry import LoadedModel

SHOWN = (
    "auc", "accuracy", "sensitivity", "specificity", "ppv", "npv", "brier", "ece",
    "out_of_scope_rate", "unsure_rate", "coverage", "accuracy_when_sure",
)  # fmt: skip
# (path, label) of a film.
File = tuple[Path, str]


class Command(BaseCommand):
    help = (
        "Evaluate a model on a folder with the class folders NORMAL and PNEUMONIA. Accuracy, "
        "sensitivity and specificity are at the model's threshold and include every film; films "
        "out of scope are counted by their probability."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--data", type=Path, required=True, help="folder with class folders")
        add("--model", help="name of a model (default: the active model)")
        add("--json", type=Path, help="file to write the metrics to")
        add(
            "--split",
            choices=("validation", "test"),
            help="evaluate on this part of the model's own split only; DIR must be the folder the "
            "model was trained on",
        )
        add(
            "--shortcut-probe",
            action="store_true",
            help="also evaluate with the lungs, the frame or the corners masked, and on the frame "
            "alone",
        )
        add(
            "--robustness",
            action="store_true",
            help="also evaluate under nine corruptions in three severities",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        model = chosen_model(options["model"])
        files = self._files(options["data"], options["split"], model)
        outputs, kept, unreadable = self._answers(model, files)
        if not outputs:
            raise CommandError("None of the files is a readable film.")
        labels = np.array([dataset.LABELS.index(label) for _, label in kept])
        figures = self._measured(model.card, predictions.Predictions.of(outputs), kept, labels)
        figures |= {"model": model.name, "bundle_sha256": model.sha256, "unreadable": unreadable}
        films = predictions.FilmFiles([path for path, _ in kept])
        figures |= self._extras(model, films, labels, options)
        self._report(figures)
        if options["json"]:
            write_json(options["json"], figures)

    def _files(self, data: Path, split: str | None, model: LoadedModel) -> list[File]:
        try:
            if split is None:
                return [(path, label) for path, label, _ in dataset.find_files(data)]
            self.stderr.write("Reading the folder to reproduce the split ...")
            manifest = dataset.scan(data, measured=False)
        except dataset.DatasetError as error:
            raise CommandError(str(error)) from error
        manifest = _as_split(manifest, seed=model.card["training"]["arguments"]["seed"])
        if manifest.sha256() != model.card["data"]["manifest_sha256"]:
            raise CommandError(
                f"{data} is not the data set that {model.name} was trained on, so its split is "
                "unknown. Omit --split to evaluate on every film."
            )
        return [(data / film.path, film.label) for film in manifest.of(split)]

    def _answers(
        self, model: LoadedModel, files: list[File]
    ) -> tuple[list[Output], list[File], list[dict[str, str]]]:
        """Return the outputs, their files, and the files that could not be predicted."""
        outputs, kept, unreadable = [], [], []
        with ThreadPoolExecutor(4) as pool:
            shown = track(
                zip(files, pool.map(lambda file: _answer(file[0], model.run), files), strict=True),
                total=len(files),
                description="Reading films",
                console=Console(stderr=True),
                transient=True,
            )
            for file, answer in shown:
                if isinstance(answer, Output):
                    outputs.append(answer)
                    kept.append(file)
                else:
                    unreadable.append({"file": str(file[0]), "error": answer})
        return outputs, kept, unreadable

    def _measured(
        self,
        card: dict[str, Any],
        answers: predictions.Predictions,
        kept: list[File],
        labels: npt.NDArray[Any],
    ) -> dict[str, Any]:
        threshold = card["threshold"]["value"]
        abstention = Abstention.of(card)
        figures = predictions.figures(
            labels,
            answers.probabilities,
            threshold=threshold,
            abstention=abstention,
            flagged=int((answers.scope_scores > card["scope"]["threshold"]).sum()),
        )
        figures["by_series"] = predictions.by_series(
            [dataset.identify(path.stem)[1] for path, _ in kept],
            labels,
            answers.probabilities,
            threshold=threshold,
            abstention=abstention,
        )
        return figures

    def _extras(
        self,
        model: LoadedModel,
        films: predictions.FilmFiles,
        labels: npt.NDArray[Any],
        options: dict[str, Any],
    ) -> dict[str, Any]:
        card, found = model.card, {}
        if options["shortcut_probe"]:
            if not card.get("lung_field"):
                raise CommandError(
                    f"The card of {model.name} has no lung field; models trained with the current "
                    "version have one."
                )
            field = lungs.from_card(card["lung_field"])
            reference = Reference.from_card(card["explanation"])
            found["shortcuts"] = weaknesses.shortcuts(model.run, films, labels, field, reference)
        if options["robustness"]:
            found["robustness"] = weaknesses.robustness(
                model.run,
                films,
                labels,
                threshold=card["threshold"]["value"],
                limit=card["scope"]["threshold"],
            )
        return found

    def _report(self, figures: dict[str, Any]) -> None:
        write = self.stdout.write
        write(f"Model {figures['model']} ({figures['bundle_sha256'][:12]}), n = {figures['n']}")
        for name in SHOWN:
            if name in figures:
                low, high = figures[f"{name}_ci"]
                shown = name.removesuffix("_rate").replace("_", " ")
                write(f"  {shown:<18} {figures[name]:.4f}  (95 % {low:.4f} to {high:.4f})")
        counts = ", ".join(f"{key} {count}" for key, count in figures["confusion"].items())
        write(f"  threshold          {figures['threshold']:.4f}  ({counts})")
        for series, row in figures["by_series"].items():
            low, high = row["accuracy_ci"]
            write(
                f"  {series:<12} n {row['n']:<5} accuracy {row['accuracy']:.4f}  "
                f"(95 % {low:.4f} to {high:.4f})"
            )
        self._report_weaknesses(figures)
        for entry in figures["unreadable"]:
            write(f"  skipped: {entry['file']}: {entry['error']}")

    def _report_weaknesses(self, figures: dict[str, Any]) -> None:
        write = self.stdout.write
        if "shortcuts" in figures:
            for row in figures["shortcuts"]["probes"]:
                low, high = row["auc_ci"]
                write(f"  probe {row['probe']:<16} AUC {row['auc']:.4f}  ({low:.4f} to {high:.4f})")
            inside = figures["shortcuts"]["activation_in_lungs"]
            write(
                f"  activation inside the lung field {inside['share']:.2f} (area of the field "
                f"{inside['area']:.2f})"
            )
        for row in figures.get("robustness", {}).get("rows", []):
            write(
                f"  {row['corruption']:<10} {row['severity']}  AUC {row['auc']:.4f}  sensitivity "
                f"{row['sensitivity']:.3f}  specificity {row['specificity']:.3f}  out of scope "
                f"{row['out_of_scope_rate']:.3f}"
            )


def _answer(path: Path, run: Callable[[npt.NDArray[np.uint8]], Output]) -> Output | str:
    try:
        return run(read_film(path.read_bytes()).pixels)
    except (FilmError, OutputError, OSError) as error:
        return str(error)


def _as_split(manifest: dataset.Manifest, *, seed: int) -> dataset.Manifest:
    """Split the films like training does; return them unsplit if that is not possible."""
    if all(film.split for film in manifest.films):
        return manifest
    try:
        return dataset.split_by_patient(manifest, seed=seed)
    except dataset.DatasetError:
        return manifest
