"""Benchmark of the model study: one configuration, several seeds, two kinds of unseen films.

    python benchmarks/study.py --data DIR --lungs MASKS --external DIR --state DIR \\
        --seeds 0 1 2 --json results.jsonl

Trains one network on four fifths of the patients (see `folds.blocks`) and tests it on the rest and
on external films. The threshold is chosen on the rest. Each seed appends one line of JSON to the
file, with all settings of the run. The networks that find the lungs are trained once and kept in
the state folder; without --lungs, the network reads whole films.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mlcore.engine import metrics
from mlcore.engine.data import dataset, folds
from mlcore.engine.training import calibration, prepared, training
from mlcore.engine.training.options import Options
from mlcore.engine.training.plan import Plan
from mlcore.engine.training.squashed import SquashedFilms

BLOCKS = 5


class Quiet:
    """Prints one line per epoch; implements `training.Progress`."""

    def member(self, number: int, members: int) -> None:
        pass

    def resumed(self, epoch: int) -> None:
        pass

    def step(self, *figures: float) -> None:
        pass

    def epoch(self, result: training.EpochResult) -> None:
        say(f"  epoch {result.epoch}: loss {result.loss:.4f}, validation AUC {result.val_auc:.4f}")


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class FixedFolderPlan(Plan):
    """A plan whose networks that find lungs are kept in the folder itself."""

    @property
    def state_folder(self) -> Path:
        return self.root


def options_of(args: argparse.Namespace) -> Options:
    """Return the training options of the command line."""
    base = Options.for_lungs() if args.lungs else Options()
    return replace(
        base,
        arch=args.arch,
        image_size=args.size,
        epochs=args.epochs,
        groups=args.groups,
        finder_epochs=args.lung_epochs,
        label_smoothing=args.label_smoothing,
        augmentation=replace(base.augmentation, **json.loads(args.augment)),
        preprocessing=replace(
            base.preprocessing, window=args.window, margin=args.margin, grow=args.grow
        ),
    )


def one_seed(
    films: prepared.PreparedSet,
    predict_external: Callable[[Any], Any],
    block: np.ndarray,
    options: Options,
    seed: int,
) -> dict[str, Any]:
    """Train and test once; return one line of the results."""
    held = block == 0
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        model, _ = training.train(
            replace(options, seed=seed), films.plain.only(~held), films.plain.only(held),
            state_folder=Path(folder), progress=Quiet(),
        )  # fmt: skip
    seconds = time.perf_counter() - started
    truth = films.plain.labels[held]
    logits = training.logits_of(model, films.plain.films[held])
    changed = training.logits_of(model, films.corrupted[held])
    cut = calibration.choose_threshold(np.tile(truth, 2), np.concatenate([logits, changed]))
    found = predict_external(model)

    def judged(labels: Any, given: Any) -> dict[str, float]:
        return {
            "auc": metrics.auc(labels, given),
            "sensitivity": float((given[labels == 1] >= cut).mean()),
            "specificity": float((given[labels == 0] < cut).mean()),
        }

    return {
        "seed": seed,
        "held": judged(truth, logits) | {"n": len(truth)},
        "held_corrupted": judged(truth, changed),
        "external": judged(found.labels, found.logits) | {"n": len(found.labels)},
        "external_corrupted": judged(found.labels, found.changed_logits),
        "seconds": round(seconds, 1),
        "options": replace(options, seed=seed).to_card(),
    }


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder with class folders")
    add("--ignore-folder", nargs="*", default=["lungs"], help="folders that are no label")
    add("--lungs", type=Path, help="folder of lung masks; without it, whole films are read")
    add("--external", type=Path, required=True, help="folder with class folders")
    add("--state", type=Path, required=True, help="folder of the networks that find lungs")
    add("--name", default="", help="name of this configuration in the results")
    add("--arch", default="resnet_fine")
    add("--size", type=int, default=112)
    add("--epochs", type=int, default=8)
    add("--lung-epochs", type=int, default=8)
    add("--groups", type=int, default=12)
    add("--window", type=float, default=0.15)
    add("--margin", type=float, default=0.08)
    add("--grow", type=float, default=0.05)
    add("--label-smoothing", type=float, default=0.05)
    add("--augment", default="{}", help="JSON: fields of Augmentation to change")
    add("--seeds", type=int, nargs="+", default=[0])
    add("--json", type=Path, required=True, help="file to append one line per seed to")
    return parser.parse_args()


def main() -> None:
    args = parsed()
    options = options_of(args)
    squashed = SquashedFilms(options.preprocessing)
    manifest = dataset.scan(
        args.data, measured=False, ignored=args.ignore_folder, on_film=squashed.add
    )
    manifest = dataset.split_by_patient(manifest, seed=0)
    records = [film for film in manifest.films if film.split != "test"]
    args.state.mkdir(parents=True, exist_ok=True)
    plan = FixedFolderPlan("study", args.state, {}, masks=args.lungs)
    films = prepared.prepare(plan, records, squashed, options, say)

    def predict(model: Any) -> Any:
        return prepared.read_external(args.external, model, films, options)

    block = folds.blocks(records, BLOCKS)
    for seed in args.seeds:
        line = {"name": args.name} | one_seed(films, predict, block, options, seed)
        say(json.dumps({key: line[key] for key in ("name", "seed", "held", "external")}))
        with args.json.open("a") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
