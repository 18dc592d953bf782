"""Provenance of a bundle: options, machine, libraries, and commands to reproduce its metrics."""

import datetime
import importlib.metadata
import os
import platform
from typing import Any

from mlcore.engine.training.callbacks import EpochResult
from mlcore.engine.training.options import Options
from mlcore.engine.training.plan import Plan

LIBRARIES = ("tensorflow", "keras", "ai-edge-litert", "numpy", "Pillow", "scikit-learn")


def of_training(options: Options, history: list[list[EpochResult]]) -> dict[str, Any]:
    """Return `card["training"]`.

    Args:
        options: the training options.
        history: the epochs of each member. `seconds` is their duration, also of those before an
            interruption.
    """
    epochs = [len(results) for results in history]
    seconds = sum(result.seconds for results in history for result in results)
    return {
        "arguments": options.to_card(),
        "epochs": sum(epochs),
        "epochs_by_member": epochs,
        "seconds": round(seconds, 1),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": (
            f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, "
            f"Python {platform.python_version()}"
        ),
        "libraries": {name: importlib.metadata.version(name) for name in LIBRARIES},
    }


def commands(plan: Plan, options: Options) -> dict[str, str]:
    """Return `card["commands"]`, which reproduce the bundle and its metrics.

    DIR stands for the folder of films, MASKS for their lung masks, EXTERNAL for films of another
    origin, ADULTS for a folder of films outside the population.
    """
    name = plan.name
    train = (
        f"manage.py train_model --data DIR --name {name} --arch {options.arch} "
        f"--image-size {options.image_size} --epochs {options.epochs} --seed {options.seed} "
        f"--members {plan.members}"
    )
    if plan.masks:
        train += f" --lungs MASKS --lung-epochs {options.finder_epochs}"
    if options.groups:
        train += f" --groups {options.groups}"
    if plan.external:
        train += " --external EXTERNAL"
    if options.patience:
        train += f" --patience {options.patience}"
    if options.mixed_precision:
        train += " --mixed-precision"
    if plan.outliers:
        train += " --outliers" + " ADULTS" * len(plan.outliers)
    if plan.started_from:
        train += f" --from {plan.started_from}"
    evaluate = f"manage.py evaluate_model --data DIR --model {name}"
    return {
        "train": train,
        "evaluate": f"{evaluate} --split test",
        "probe": f"{evaluate} --split test --shortcut-probe",
        "robustness": f"{evaluate} --split test --robustness",
    }
