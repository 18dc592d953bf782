"""Benchmark of the model study: one configuration, several seeds, a shifted test set.

    python benchmarks/study.py --data DIR --hold-out NORMAL2-IM --seeds 0 1 2 --json results.jsonl

Trains on the films that are not held out and tests on those that are. Holding out one numbering
series of the normal films imitates films taken under other settings; holding out an aetiology
imitates another disease. The threshold is chosen on a validation part of the training films. Each
seed appends one line of JSON to the file, with all settings of the run.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mlcore.engine import metrics
from mlcore.engine.data import dataset
from mlcore.engine.evaluation import corruptions, probe
from mlcore.engine.evaluation.predictions import FilmFiles
from mlcore.engine.serving.preprocess import EQUALISE, LOCAL_CONTRAST, Preprocessing, prepare_bytes
from mlcore.engine.training import augment, calibration
from mlcore.engine.training import training as trainings

HOLD_OUT = ("patients", "IM", "NORMAL2-IM", "low-numbers", "bacteria", "virus")
Pixels = npt.NDArray[np.uint8]


class Quiet:
    """Prints one line per epoch; implements `training.Progress`."""

    def member(self, number: int, members: int) -> None:
        pass

    def resumed(self, epoch: int) -> None:
        pass

    def step(self, *figures: float) -> None:
        pass

    def epoch(self, result: trainings.EpochResult) -> None:
        print(
            f"  epoch {result.epoch}: loss {result.loss:.4f}, validation AUC {result.val_auc:.4f}",
            file=sys.stderr,
        )


def held_out(films: list[dataset.FilmRecord], kind: str, seed: int) -> npt.NDArray[np.bool_]:
    """Mark the test films: a fifth of the patients, or the films of one label that `kind` names."""
    group = np.array(dataset.groups(films))
    names = np.unique(group)
    fifth = np.random.default_rng([seed, 5]).permutation(names)[: len(names) // 5]
    by_patient = np.isin(group, fifth)
    series = np.array([film.series for film in films])
    labels = np.array([film.label for film in films])
    if kind == "patients":
        return by_patient
    if kind == "low-numbers":
        number = np.array([int((re.findall(r"\d+", film.patient) or ["0"])[-1]) for film in films])
        chosen = np.zeros(len(films), bool)
        for name in ("IM", "NORMAL2-IM"):
            chosen |= (series == name) & (number <= np.quantile(number[series == name], 0.25))
    else:
        chosen = series == kind
    label = labels[np.flatnonzero(chosen)[0]]
    # Whole patients of the other label, so that no patient is in both parts.
    return np.where(labels == label, chosen, by_patient) | np.isin(group, group[chosen])


def one_seed(
    films: list[Pixels], records: list[dataset.FilmRecord], args: argparse.Namespace, seed: int
) -> dict[str, Any]:
    """Train and test once; return one line of the results."""
    options = trainings.Options(
        arch=args.arch,
        image_size=args.size,
        epochs=args.epochs,
        seed=seed,
        mixed_precision=args.mixed_precision,
        augmentation=replace(augment.Augmentation(), **json.loads(args.augment)),
        preprocessing=Preprocessing(id=args.preprocessing, window=args.window),
    )
    test = held_out(records, args.hold_out, seed=0)
    group = np.array(dataset.groups(records))
    names = np.unique(group[~test])
    apart = np.random.default_rng([0, 6]).permutation(names)[: len(names) // 8]
    validation = ~test & np.isin(group, apart)
    labels = np.array([dataset.LABELS.index(record.label) for record in records])

    def prepared(chosen: npt.NDArray[np.bool_], change: Callable[[Pixels, int], Pixels] | None):
        return np.stack(
            [
                prepare_bytes(
                    change(films[i], i) if change else films[i],
                    size=options.image_size,
                    spec=options.preprocessing,
                )
                for i in np.flatnonzero(chosen)
            ]
        )

    def data(chosen: npt.NDArray[np.bool_]) -> trainings.TrainingSet:
        return trainings.TrainingSet(prepared(chosen, None), labels[chosen])

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model, _ = trainings.train(
            options, data(~test & ~validation), data(validation),
            state_folder=Path(folder), progress=Quiet(),
        )  # fmt: skip
    seconds = time.perf_counter() - started
    logits = trainings.logits_of(model, prepared(validation, None))
    cut = calibration.choose_threshold(labels[validation], logits)
    truth = labels[test]

    def judged(change: Callable[[Pixels, int], Pixels] | None) -> dict[str, float]:
        given = trainings.logits_of(model, prepared(test, change))
        at_97 = np.quantile(given[truth == 1], 0.03)
        return {
            "auc": metrics.auc(truth, given),
            "sensitivity": float((given[truth == 1] >= cut).mean()),
            "specificity": float((given[truth == 0] < cut).mean()),
            "specificity_at_sensitivity_97": float((given[truth == 0] < at_97).mean()),
        }

    changed: dict[str, Callable[[Pixels, int], Pixels]] = {
        f"{kind} 2": lambda film, place, kind=kind: corruptions.corrupt(film, kind, 2, seed=place)
        for kind in args.corruptions
    }
    field = np.zeros((56, 56), bool)
    if args.frame:
        changed["frame_masked"] = lambda film, _: probe.masked(film, "frame_masked", field)
        changed["frame_alone"] = lambda film, _: probe.masked(film, "frame_alone", field)
    return {
        "hold_out": args.hold_out,
        "n": {"train": int((~test & ~validation).sum()), "test": np.bincount(truth).tolist()},
        "validation_auc": metrics.auc(labels[validation], logits),
        "clean": judged(None),
        "changed": {name: judged(change) for name, change in changed.items()},
        "options": options.to_card(),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True)
    add("--hold-out", choices=HOLD_OUT, default="NORMAL2-IM")
    add("--preprocessing", choices=(EQUALISE, LOCAL_CONTRAST), default=LOCAL_CONTRAST)
    add("--window", type=float, default=0.15)
    add("--arch", default="resnet_small")
    add("--size", type=int, default=128)
    add("--epochs", type=int, default=8)
    add("--seeds", type=int, nargs="+", default=[0, 1, 2])
    add("--augment", default="{}", help="fields of Augmentation to change, as JSON")
    add("--corruptions", nargs="*", choices=corruptions.KINDS, default=["crop", "blur", "noise"])
    add("--frame", action="store_true", help="also test the frame masked, and alone")
    add("--mixed-precision", action="store_true")
    add("--json", type=Path, help="file to append one line of results per seed to")
    args = parser.parse_args()
    manifest = dataset.scan(args.data, measured=False)
    records = list(manifest.films)
    films = list(FilmFiles([manifest.root / record.path for record in records]))
    lines = [one_seed(films, records, args, seed) for seed in args.seeds]
    for name in lines[0]["clean"]:
        values = np.array([line["clean"][name] for line in lines])
        spread = f" (standard deviation {values.std(ddof=1):.4f})" if len(values) > 1 else ""
        print(f"{name:<32} {values.mean():.4f}{spread}")
    for change in lines[0]["changed"]:
        values = np.array([line["changed"][change]["auc"] for line in lines])
        print(f"AUC, {change:<27} {values.mean():.4f}")
    if args.json:
        with args.json.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()
