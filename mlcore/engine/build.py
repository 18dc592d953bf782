"""From a folder of films to a bundle: audit, split, train, calibrate, measure, write.

Importing this module imports Keras.
"""

import csv
import datetime
import importlib.metadata
import io
import os
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mlcore.engine import bundle, export, golden, metrics, plots
from mlcore.engine.calibration import Calibration, choose_threshold, fit
from mlcore.engine.dataset import LABELS, FilmRecord, Manifest, split_by_patient
from mlcore.engine.explain import Reference
from mlcore.engine.film import read_film
from mlcore.engine.preprocess import prepare_bytes
from mlcore.engine.runtime import Output
from mlcore.engine.training import (
    EpochResult,
    Options,
    Progress,
    TrainingSet,
    outputs_of,
    train,
)

SCOPE_QUANTILE = 0.98
LIBRARIES = ("tensorflow", "keras", "ai-edge-litert", "numpy", "Pillow", "scikit-learn")


@dataclass(frozen=True, eq=False)
class Side:
    """One side of the split: its records, films and what the trained network says of them."""

    records: list[FilmRecord]
    data: TrainingSet
    logits: npt.NDArray[Any]
    descriptors: npt.NDArray[Any]
    evidence: npt.NDArray[Any]


def load_films(
    manifest: Manifest,
    records: Sequence[FilmRecord],
    options: Options,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> TrainingSet:
    """Reads and prepares films into memory: one byte a pixel of the network's input."""

    def one(record: FilmRecord) -> npt.NDArray[np.uint8]:
        film = read_film((manifest.root / record.path).read_bytes())
        return prepare_bytes(film.pixels, size=options.image_size, spec=options.preprocessing)

    size = options.image_size
    films = np.empty((len(records), size, size), np.uint8)
    with ThreadPoolExecutor(4) as pool:
        for place, film in enumerate(pool.map(one, records)):
            films[place] = film
            if on_progress:
                on_progress(place + 1)
    labels = np.array([LABELS.index(record.label) for record in records])
    return TrainingSet(films=films, labels=labels)


def build(
    name: str,
    manifest: Manifest,
    options: Options,
    *,
    root: Path,
    progress: Progress,
    on_stage: Callable[[str], None],
    population: dict[str, Any],
) -> bundle.Bundle:
    """Trains on a manifest and writes the bundle; see `training.train` for resuming.

    Args:
        manifest: of `dataset.scan`. Where its folders state no split, films are split by patient.
        root: folder of bundles.
        on_stage: told, in a few words, what begins.
        population: whom the films show, for the card; see `mlcore.engine.population`.

    Raises:
        DatasetError: the films cannot be split by patient with both labels on each side.
        BundleError: a bundle of that name exists.
    """
    if (root / name).exists():
        raise bundle.BundleError(f"A bundle named {name!r} exists already in {root}.")
    if any(not film.split for film in manifest.films):
        manifest = split_by_patient(manifest, seed=options.seed)
    on_stage("reading films")
    parts = {
        split: (manifest.of(split), load_films(manifest, manifest.of(split), options))
        for split in ("train", "validation", "test")
    }
    on_stage("training")
    started = time.perf_counter()
    state = root / f".training-{name}"
    model, history = train(
        options, parts["train"][1], parts["validation"][1], state_folder=state, progress=progress
    )
    seconds = time.perf_counter() - started
    on_stage("measuring")
    sides = {split: _measured(model, *part) for split, part in parts.items()}
    fitted = _fit(sides, options)
    on_stage("writing the bundle")
    card = _card(name, manifest, options, sides, fitted, history, seconds, population)
    written = bundle.write(root, card, _files(model, options, sides, fitted, history))
    for leftover in state.glob("*"):
        leftover.unlink()
    state.rmdir()
    return written


def _measured(model: keras.Model, records: list[FilmRecord], data: TrainingSet) -> Side:
    outputs = outputs_of(model, data.films)
    return Side(
        records,
        data,
        outputs["logit"][:, 0],
        outputs["descriptor"],
        outputs["evidence"][..., 0],
    )


@dataclass(frozen=True, eq=False)
class _Fitted:
    """What is fitted after training: on validation films, but the gate's form on training ones."""

    calibration: Calibration
    threshold: float
    gate: export.ScopeGate
    scope_threshold: float
    reference: Reference


def _fit(sides: dict[str, Side], options: Options) -> _Fitted:
    validation = sides["validation"]
    calibration = fit(validation.data.labels, validation.logits)
    cut = choose_threshold(validation.data.labels, validation.logits, seed=options.seed)
    gate = export.ScopeGate.fit(sides["train"].descriptors, sides["train"].data.labels)
    scores = gate.score(validation.descriptors)
    return _Fitted(
        calibration=calibration,
        threshold=float(calibration.probabilities(cut)),
        gate=gate,
        scope_threshold=float(np.quantile(scores, SCOPE_QUANTILE)),
        reference=Reference.fit(validation.evidence[validation.data.labels == 0]),
    )


def _card(
    name: str,
    manifest: Manifest,
    options: Options,
    sides: dict[str, Side],
    fitted: _Fitted,
    history: list[EpochResult],
    seconds: float,
    population: dict[str, Any],
) -> dict[str, Any]:
    figures = {split: _figures(side, fitted) for split, side in sides.items() if split != "train"}
    return {
        "name": name,
        "labels": list(LABELS),
        "input_size": options.image_size,
        "preprocessing": {
            "id": options.preprocessing.id,
            "parameters": options.preprocessing.parameters(),
        },
        **_decisions(fitted, figures),
        "explanation": fitted.reference.to_card(),
        "population": population,
        "metrics": figures,
        "data": {
            "manifest_sha256": manifest.sha256(),
            "counts": manifest.counts(),
            "patients": len({film.patient for film in manifest.films}),
            "split": "by patient, copies kept together, stratified by label and series",
        },
        "training": _provenance(options, len(history), seconds),
        "plots": ["curves.png", "roc.png", "reliability.png", "confusion.png"],
    }


def _decisions(fitted: _Fitted, figures: dict[str, Any]) -> dict[str, Any]:
    """The card's threshold, calibration and scope, each with where it was chosen."""
    return {
        "threshold": {
            "value": fitted.threshold,
            "chosen_on": "validation",
            "how": (
                "median over 500 bootstrap samples of the place where sensitivity plus "
                "specificity is largest"
            ),
        },
        "calibration": {
            "method": "Platt: log-odds / temperature + bias",
            "temperature": fitted.calibration.temperature,
            "bias": fitted.calibration.bias,
            "fitted_on": "validation",
            "ece": figures["validation"]["ece"],
            "brier": figures["validation"]["brier"],
        },
        "scope": {
            "method": (
                "Mahalanobis distance of features pooled at several depths to the nearer class "
                "mean of the training films, Ledoit-Wolf covariance"
            ),
            "threshold": fitted.scope_threshold,
            "chosen_on": "validation",
            "how": f"quantile {SCOPE_QUANTILE} of the validation films' scores",
            "flagged": {split: figure["out_of_scope_rate"] for split, figure in figures.items()},
        },
    }


def _provenance(options: Options, epochs: int, seconds: float) -> dict[str, Any]:
    return {
        "arguments": options.to_card(),
        "epochs": epochs,
        "seconds": round(seconds, 1),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": (
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, "
            f"Python {platform.python_version()}"
        ),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def _figures(side: Side, fitted: _Fitted) -> dict[str, Any]:
    probabilities = fitted.calibration.probabilities(side.logits)
    figures = metrics.evaluate(side.data.labels, probabilities, threshold=fitted.threshold)
    flagged = int((fitted.gate.score(side.descriptors) > fitted.scope_threshold).sum())
    figures["out_of_scope_rate"] = flagged / figures["n"]
    figures["out_of_scope_rate_ci"] = metrics.wilson_interval(flagged, figures["n"])
    called = probabilities >= fitted.threshold
    figures["by_series"] = {
        series: _series(side, called, series)
        for series in sorted({record.series for record in side.records} - {""})
    }
    return figures


def _series(side: Side, called: npt.NDArray[Any], series: str) -> dict[str, Any]:
    members = np.array([record.series == series for record in side.records])
    right = int((called == (side.data.labels == 1))[members].sum())
    n = int(members.sum())
    return {"n": n, "accuracy": right / n, "accuracy_ci": metrics.wilson_interval(right, n)}


def _files(
    model: keras.Model,
    options: Options,
    sides: dict[str, Side],
    fitted: _Fitted,
    history: list[EpochResult],
) -> dict[str, bytes]:
    serving = export.serving_network(model, calibration=fitted.calibration, gate=fitted.gate)
    held_out = sides["test"]
    labels = held_out.data.labels
    probabilities = fitted.calibration.probabilities(held_out.logits)
    counts = metrics.confusion(labels, probabilities, fitted.threshold)
    return {
        bundle.KERAS: export.to_keras_file(model),
        bundle.TFLITE: export.to_litert(serving),
        bundle.GOLDEN: golden.make(
            lambda film: run_keras(serving, film),
            size=options.image_size,
            spec=options.preprocessing,
        ),
        "history.csv": _history_csv(history),
        "curves.png": plots.curves(history),
        "roc.png": plots.roc(labels, probabilities, threshold=fitted.threshold),
        "reliability.png": plots.reliability(labels, probabilities),
        "confusion.png": plots.confusion(counts, LABELS),
    }


def run_keras(serving: keras.Model, film: npt.NDArray[np.float32]) -> Output:
    """Runs the serving network in Keras on one prepared film, as `runtime.Session.run` does."""
    answer = serving.predict_on_batch(film[np.newaxis])
    return Output(
        probability=float(np.squeeze(answer["probability"])),
        activation_map=np.squeeze(np.asarray(answer["activation_map"], np.float32), (0, 3)),
        scope_score=float(np.squeeze(answer["scope_score"])),
    )


def _history_csv(history: list[EpochResult]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(asdict(history[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(result) for result in history)
    return text.getvalue().encode()
