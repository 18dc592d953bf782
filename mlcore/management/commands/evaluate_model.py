from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import track

from mlcore.engine.data import dataset
from mlcore.engine.evaluation import lungs, outcomes, predictions, weaknesses
from mlcore.engine.films.film import FilmError, read_film
from mlcore.engine.serving.conformal import Abstention
from mlcore.engine.serving.decision import DecisionRule
from mlcore.engine.serving.pipeline import Output
from mlcore.engine.serving.runtime import OutputError
from mlcore.management.commands import _recording as recording
from mlcore.management.commands._common import (
    add_ignore_folder,
    chosen_model,
    write_json,
)
from mlcore.management.commands._figures import shown, shown_with_interval, undefined_printed
from mlcore.registry import LoadedModel

SHOWN = (
    "auc", "accuracy", "sensitivity", "specificity", "ppv", "npv", "brier", "ece",
    "out_of_scope_rate", "unsure_rate", "coverage", "accuracy_when_sure",
)  # fmt: skip
# (path, label) of a film.
File = tuple[Path, str]


class Command(BaseCommand):
    help = (
        "Evaluate a model on a folder with the class folders NORMAL and PNEUMONIA: what films with "
        "and without pneumonia are called by the model's rule of decision, and figures that rank "
        "models. Accuracy, sensitivity and specificity are at the model's ranking threshold, which "
        "decides no result. Every film counts; films out of scope are counted by their probability."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add("--data", type=Path, required=True, help="folder with class folders (required)")
        add_ignore_folder(parser)
        add("--model", help="name of a model (default: the active model)")
        add("--json", type=Path, help="file to write the metrics to (default: none)")
        add(
            "--split",
            choices=("validation", "test"),
            help="evaluate on this part of the model's own split only; DIR must be the folder the "
            "model was trained on (default: evaluate on every film)",
        )
        add(
            "--shortcut-probe",
            action="store_true",
            help="also evaluate with the lungs, the frame or the corners masked, and on the frame "
            "alone (default: off)",
        )
        add(
            "--robustness",
            action="store_true",
            help="also evaluate under nine corruptions in three severities (default: off)",
        )
        add(
            "--prevalence",
            type=float,
            nargs="+",
            default=outcomes.PREVALENCES,
            metavar="P",
            help="proportions of children with pneumonia at which to state the predictive values "
            "(default: 0.05 0.2 0.5)",
        )
        recording.add_arguments(parser)

    @undefined_printed()
    def handle(self, *args: Any, **options: Any) -> None:
        recording.refuse_nonsense(options)
        for prevalence in options["prevalence"]:
            if not 0 < prevalence < 1:
                raise CommandError(f"--prevalence must be between 0 and 1. Received: {prevalence}.")
        model = chosen_model(options["model"])
        version = recording.version_of(model, options["model"]) if options["record"] else None
        files = self._files(options["data"], options["split"], model, options["ignore_folder"])
        outputs, kept, hashes, unreadable = self._answers(model, files)
        if not outputs:
            raise CommandError("None of the files is a readable film.")
        labels = np.array([dataset.LABELS.index(label) for _, label in kept])
        answers = predictions.Predictions.of(outputs)
        figures = self._measured(model.card, answers, kept, labels)
        figures["decision"] = self._decision(
            model.card, answers, kept, labels, options["prevalence"]
        )
        figures |= {"model": model.name, "bundle_sha256": model.sha256, "unreadable": unreadable}
        figures |= recording.stated(options)
        figures["data_sha256"] = outcomes.films_sha256(
            (pixels, label) for pixels, (_, label) in zip(hashes, kept, strict=True)
        )
        films = predictions.FilmFiles([path for path, _ in kept])
        figures |= self._extras(model, films, labels, options)
        self._report(figures)
        if options["json"]:
            write_json(options["json"], figures)
        if version is not None:
            recorded = recording.record(version, figures, set(hashes), options)
            self.stdout.write(f"Recorded as {recorded.title!r}, shown on the page of {model.name}.")

    def _files(
        self, data: Path, split: str | None, model: LoadedModel, ignored: list[str]
    ) -> list[File]:
        try:
            if split is None:
                files = dataset.find_files(data, ignored=ignored)
                return [(path, label) for path, label, _ in files]
            self.stderr.write("Reading the folder to reproduce the split ...")
            manifest = dataset.scan(data, measured=False, ignored=ignored)
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
    ) -> tuple[list[Output], list[File], list[str], list[dict[str, str]]]:
        """Return the outputs, their files and pixel hashes, and the files without an output."""
        outputs, kept, hashes, unreadable = [], [], [], []
        with ThreadPoolExecutor(4) as pool:
            shown = track(
                zip(files, pool.map(lambda file: _answer(file[0], model.run), files), strict=True),
                total=len(files),
                description="Reading films",
                console=Console(stderr=True),
                transient=True,
            )
            for file, answer in shown:
                if not isinstance(answer, str):
                    outputs.append(answer[0])
                    hashes.append(answer[1])
                    kept.append(file)
                else:
                    unreadable.append({"file": str(file[0]), "error": answer})
        return outputs, kept, hashes, unreadable

    def _decision(
        self,
        card: dict[str, Any],
        answers: predictions.Predictions,
        kept: list[File],
        labels: npt.NDArray[Any],
        prevalences: Sequence[float],
    ) -> dict[str, Any]:
        return outcomes.outcomes(
            labels,
            answers.probabilities,
            rule=DecisionRule.of(card),
            out_of_scope=answers.scope_scores > card["scope"]["threshold"],
            series=[dataset.identify(path.stem)[1] for path, _ in kept],
            prevalences=prevalences,
        )

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
            found["shortcuts"] = weaknesses.shortcuts(model.pipeline, films, labels, field)
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
        self._report_decision(figures["decision"])
        write("Ranking figures (the threshold decides no result)")
        for name in SHOWN:
            if name in figures:
                title = name.removesuffix("_rate").replace("_", " ")
                write(f"  {title:<18} {shown_with_interval(figures, name, f'{name}_ci')}")
        counts = ", ".join(f"{key} {count}" for key, count in figures["confusion"].items())
        write(f"  ranking threshold  {figures['threshold']:.4f}  ({counts})")
        for series, row in figures["by_series"].items():
            accuracy = shown_with_interval(row, "accuracy", "accuracy_ci")
            write(f"  {series:<12} n {row['n']:<5} correct side of it {accuracy}")
        self._report_weaknesses(figures)
        for entry in figures["unreadable"]:
            write(f"  skipped: {entry['file']}: {entry['error']}")

    def _report_decision(self, decision: dict[str, Any]) -> None:
        """Print what films of either label are called, and the predictive values."""
        write = self.stdout.write
        write(
            f"Rule of decision: NORMAL below {decision['lower']:.4f}, PNEUMONIA from "
            f"{decision['upper']:.4f}, UNSURE between"
        )
        for label, called in decision["called"].items():
            write(f"  films labelled {label}, n = {decision['n'][label]}")
            for result, row in called.items():
                write(f"    called {result:<10} {row['count']:>5}  {_with_interval(row)}")
            out = decision["shown"][label]["OUT_OF_SCOPE"]
            write(f"    (of them out of scope: {out['count']}  {_with_interval(out)})")
        for prevalence in decision["ppv_at"]:
            ppv, npv = decision["ppv_at"][prevalence], decision["npv_at"][prevalence]
            write(
                f"  at prevalence {prevalence:<5} PPV {_with_interval(ppv, 'ppv_at')}, "
                f"NPV {_with_interval(npv, 'npv_at')}"
            )

    def _report_weaknesses(self, figures: dict[str, Any]) -> None:
        write = self.stdout.write
        if "shortcuts" in figures:
            for row in figures["shortcuts"]["probes"]:
                write(f"  probe {row['probe']:<16} AUC {shown_with_interval(row, 'auc', 'auc_ci')}")
            inside = figures["shortcuts"]["activation_in_lungs"]
            write(
                f"  activation inside the lung field "
                f"{shown(inside['share'], 'in_lungs', digits=2)} (area of the field "
                f"{inside['area']:.2f})"
            )
        for row in figures.get("robustness", {}).get("rows", []):
            write(
                f"  {row['corruption']:<10} {row['severity']}  AUC {shown(row['auc'], 'auc')}  "
                f"sensitivity {shown(row['sensitivity'], 'sensitivity', digits=3)}  "
                f"specificity {shown(row['specificity'], 'specificity', digits=3)}  "
                f"out of scope {shown(row['out_of_scope_rate'], 'out_of_scope_rate', digits=3)}"
            )


def _with_interval(row: dict[str, Any], name: str = "share") -> str:
    return shown_with_interval(row, "share" if name == "share" else "value", "ci", name=name)


def _answer(path: Path, run: Callable[[npt.NDArray[np.uint8]], Output]) -> tuple[Output, str] | str:
    """Return a film's output and the hash of its pixels, or the error."""
    try:
        pixels = read_film(path.read_bytes()).pixels
        return run(pixels), dataset.pixels_sha256(pixels)
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
