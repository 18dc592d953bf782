"""Provenance of a bundle: options, machine, libraries, and commands to reproduce its metrics."""

import datetime
import importlib.metadata
import os
import platform
from typing import Any

from mlcore.engine.training.training import Options

LIBRARIES = ("tensorflow", "keras", "ai-edge-litert", "numpy", "Pillow", "scikit-learn")


def of_training(options: Options, *, epochs: list[int], seconds: float) -> dict[str, Any]:
    """Return `card["training"]`.

    Args:
        options: the training options.
        epochs: epochs of each member.
        seconds: duration of the training.
    """
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


def commands(
    name: str, options: Options, *, members: int, outliers: bool, start: str | None
) -> dict[str, str]:
    """Return `card["commands"]`, which reproduce the bundle and its metrics.

    DIR stands for the folder of films, ADULTS for films outside the population.
    """
    train = (
        f"manage.py train_model --data DIR --name {name} --arch {options.arch} "
        f"--image-size {options.image_size} --epochs {options.epochs} --seed {options.seed} "
        f"--members {members}"
    )
    if options.patience:
        train += f" --patience {options.patience}"
    if options.mixed_precision:
        train += " --mixed-precision"
    if outliers:
        train += " --outliers ADULTS"
    if start:
        train += f" --from {start}"
    evaluate = f"manage.py evaluate_model --data DIR --model {name}"
    return {
        "train": train,
        "evaluate": f"{evaluate} --split test",
        "probe": f"{evaluate} --split test --shortcut-probe",
        "robustness": f"{evaluate} --split test --robustness",
    }
