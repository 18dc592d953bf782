from argparse import ArgumentParser
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import track

from mlcore.engine import dataset, metrics
from mlcore.engine.film import FilmError, read_film
from mlcore.engine.runtime import Output, OutputError
from mlcore.management.commands._common import chosen_model, write_json

SHOWN = ("auc", "accuracy", "sensitivity", "specificity", "ppv", "npv", "brier", "ece")


class Command(BaseCommand):
    help = (
        "Measures a model on a folder of class folders (NORMAL, PNEUMONIA). Accuracy, "
        "sensitivity and specificity are at the shipped threshold and over every film; films "
        "that the picture alone puts out of scope are counted by their probability."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--data", type=Path, required=True, help="folder of class folders")
        parser.add_argument("--model", help="name of a model (default: the active one)")
        parser.add_argument("--json", type=Path, help="write the figures there")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            files = dataset.find_files(options["data"])
        except dataset.DatasetError as error:
            raise CommandError(str(error)) from error
        model = chosen_model(options["model"])
        labels, outputs, unreadable = [], [], []
        with ThreadPoolExecutor(4) as pool:
            answers = pool.map(lambda file: _answer(file[0], model.run), files)
            shown = track(
                zip(files, answers, strict=True),
                total=len(files),
                description="Reading films",
                console=Console(stderr=True),
                transient=True,
            )
            for (path, label, _split), answer in shown:
                if isinstance(answer, Output):
                    labels.append(dataset.LABELS.index(label))
                    outputs.append(answer)
                else:
                    unreadable.append({"file": str(path), "error": answer})
        figures = self._figures(np.array(labels), outputs, model.card)
        figures |= {"model": model.name, "bundle_sha256": model.sha256, "unreadable": unreadable}
        self._report(figures)
        if options["json"]:
            write_json(options["json"], figures)

    def _figures(
        self, labels: np.ndarray, outputs: list[Output], card: dict[str, Any]
    ) -> dict[str, Any]:
        if not outputs:
            raise CommandError("None of the files is a readable film.")
        probabilities = np.array([output.probability for output in outputs])
        figures = metrics.evaluate(labels, probabilities, threshold=card["threshold"]["value"])
        limit = card["scope"]["threshold"]
        flagged = sum(output.scope_score > limit for output in outputs)
        figures["out_of_scope_rate"] = flagged / len(outputs)
        figures["out_of_scope_rate_ci"] = metrics.wilson_interval(flagged, len(outputs))
        return figures

    def _report(self, figures: dict[str, Any]) -> None:
        write = self.stdout.write
        write(f"Model {figures['model']} ({figures['bundle_sha256'][:12]}), n = {figures['n']}")
        for name in SHOWN:
            low, high = figures[f"{name}_ci"]
            write(f"  {name:<12} {figures[name]:.4f}  (95 % {low:.4f} to {high:.4f})")
        counts = ", ".join(f"{key} {count}" for key, count in figures["confusion"].items())
        write(f"  threshold    {figures['threshold']:.4f}  ({counts})")
        write(f"  out of scope {figures['out_of_scope_rate']:.4f}")
        for entry in figures["unreadable"]:
            write(f"  left out: {entry['file']}: {entry['error']}")


def _answer(path: Path, run: Any) -> Output | str:
    try:
        return run(read_film(path.read_bytes()).pixels)
    except (FilmError, OutputError, OSError) as error:
        return str(error)
