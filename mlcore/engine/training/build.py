"""Building a bundle: split, train, calibrate, fit the scope gate, evaluate, write.

Importing this module imports Keras.
"""

import csv
import io
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from mlcore.engine.data import folds
from mlcore.engine.data.dataset import FilmRecord, Manifest, split_by_patient
from mlcore.engine.data.population import is_inside
from mlcore.engine.evaluation import plots
from mlcore.engine.serving import bundle, golden
from mlcore.engine.serving.pipeline import OUTPUTS_OF
from mlcore.engine.serving.runtime import Session
from mlcore.engine.training import architectures, card, export, fitting, outlier_films
from mlcore.engine.training.fitting import Development
from mlcore.engine.training.plan import Plan
from mlcore.engine.training.prepared import PreparedSet, prepare, read_external
from mlcore.engine.training.squashed import SquashedFilms
from mlcore.engine.training.training import (
    EpochResult,
    Options,
    Progress,
    TrainingSet,
    outputs_of,
    train,
)

History = list[list[EpochResult]]


def build(
    plan: Plan,
    manifest: Manifest,
    films: SquashedFilms,
    options: Options,
    *,
    progress: Progress,
    on_stage: Callable[[str], None],
) -> bundle.Bundle | None:
    """Train on a manifest and write the bundle; see `training.train` for resuming.

    Args:
        plan: what to build.
        manifest: the data set; without split folders, films are split by patient.
        films: the squashed films of the data set.
        options: the training options.
        progress: receives epochs and batches.
        on_stage: called with a short description of each stage.

    Returns:
        The bundle; None on a worker that is not the chief, which writes nothing.

    Raises:
        DatasetError: the films cannot be split by patient with both labels in every split.
        BundleError: a bundle with this name exists.
        ValueError: there are too few films for the members, or the saved state is of another run.
    """
    if options.preprocessing.reads_lungs != (plan.masks is not None):
        raise ValueError(
            "Lung masks are required for a model that reads only the lungs, and not accepted for "
            "other models. Check plan.masks and options.preprocessing."
        )
    if (plan.root / plan.name).exists():
        raise bundle.BundleError(f"A bundle named {plan.name!r} already exists in {plan.root}.")
    if any(not film.split for film in manifest.films):
        manifest = split_by_patient(manifest, seed=options.seed)
    records = [film for film in manifest.films if film.split != "test"]
    left_out = blocks_left_out(records, plan.members)
    prepared = prepare(plan, records, films, options, on_stage)
    data = prepared.plain
    members, history = _train_members(plan, options, data, left_out, progress, on_stage)
    if not plan.distribution.is_chief:
        return None
    on_stage("computing out-of-fold predictions")
    development = collect(members, records, prepared, left_out)
    if plan.external is not None:
        on_stage("predicting the external films")
        external = read_external(plan.external, architectures.averaged(members), prepared, options)
        development = replace(development, external=external)
    outliers = outlier_films.read(
        plan.outliers,
        spec=options.preprocessing,
        seed=options.seed,
        is_inside=lambda age: is_inside(plan.population, age),
    )
    fitted = fitting.fit(members[0], development, options, outliers=outliers, on_stage=on_stage)
    report = card.Report(plan, manifest, options, development, fitted, history, prepared.agreement)
    written = _write(plan.root, architectures.averaged(members), report, on_stage)
    shutil.rmtree(plan.state_folder)
    return written


def _write(
    root: Path, model: keras.Model, report: card.Report, on_stage: Callable[[str], None]
) -> bundle.Bundle:
    fitted, finder = report.fitted, report.development.finder
    on_stage("evaluating on the test films")
    networks = export.serving_networks(
        model, calibration=fitted.calibration, gate=fitted.gate, finder=finder
    )
    served = {name: export.to_litert(network) for name, network in networks.items()}
    in_keras = {name: export.KerasNetwork(network) for name, network in networks.items()}
    pipeline = report.pipeline(
        {name: Session(served[name], outputs=outputs) for name, outputs in OUTPUTS_OF.items()
         if name in served}
    )  # fmt: skip
    written_card, files = report.measured(pipeline, on_stage=on_stage)
    files |= served | {
        bundle.KERAS: export.to_keras_file(model),
        bundle.GOLDEN: golden.make(report.pipeline(in_keras).run),
        "history.csv": _history_csv(report.history),
        "curves.png": plots.curves(report.history),
    }
    if finder is not None:
        files[bundle.LUNGS_KERAS] = export.to_keras_file(finder)
    on_stage("writing the bundle")
    return bundle.write(root, written_card, files)


def blocks_left_out(records: list[FilmRecord], members: int) -> list[npt.NDArray[np.bool_]]:
    """Return, for each member, the records left out of its training."""
    if members == 1:
        return [np.array([record.split == "validation" for record in records])]
    fold = folds.blocks(records, members)
    return [fold == number for number in range(members)]


def _train_members(
    plan: Plan,
    options: Options,
    data: TrainingSet,
    left_out: list[npt.NDArray[np.bool_]],
    progress: Progress,
    on_stage: Callable[[str], None],
) -> tuple[list[keras.Model], History]:
    starts: list[Any] = [None] * plan.members
    if plan.start is not None:
        found = architectures.members_of(plan.start)
        starts = [found[number % len(found)] for number in range(plan.members)]
    models, history = [], []
    for number, held in enumerate(left_out):
        on_stage(f"training network {number + 1} of {plan.members}")
        progress.member(number + 1, plan.members)
        model, epochs = train(
            replace(options, seed=options.seed + number),
            data.only(~held),
            data.only(held),
            state_folder=plan.state_folder / f"member-{number + 1}",
            progress=progress,
            initial=starts[number],
            distribution=plan.distribution,
        )
        models.append(model)
        history.append(epochs)
    return models, history


def collect(
    members: list[keras.Model],
    records: list[FilmRecord],
    prepared: PreparedSet,
    left_out: list[npt.NDArray[np.bool_]],
) -> Development:
    """Collect the out-of-fold predictions of all members.

    Args:
        members: the trained networks.
        records: the films.
        prepared: the films, as they are and under a random corruption.
        left_out: for each member, the films left out of its training.
    """
    logits, changed_logits = np.full((2, len(records)), np.nan)
    cells = members[0].output["evidence"].shape[1:3]
    evidence = np.full((len(records), *cells), np.nan, np.float32)
    for model, held in zip(members, left_out, strict=True):
        outputs = outputs_of(model, prepared.plain.films[held])
        logits[held] = outputs["logit"][:, 0]
        evidence[held] = outputs["evidence"][..., 0]
        changed_logits[held] = outputs_of(model, prepared.corrupted[held])["logit"][:, 0]
    return Development(
        records=records,
        data=prepared.plain,
        judged=~np.isnan(logits),
        unseen=left_out[0],
        logits=logits,
        changed_logits=changed_logits,
        evidence=evidence,
        squashed=prepared.squashed,
        finder=prepared.finder,
    )


def _history_csv(history: History) -> bytes:
    text = io.StringIO()
    columns = ["member", *asdict(history[0][0])]
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\n")
    writer.writeheader()
    for member, epochs in enumerate(history, start=1):
        writer.writerows({"member": member, **asdict(result)} for result in epochs)
    return text.getvalue().encode()
