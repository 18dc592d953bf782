"""Model cards with every possible key; their figures have no meaning."""

import json
import math
from pathlib import Path
from typing import Any
from unittest import mock

from django.conf import settings

from mlcore import registry
from mlcore.engine.serving import bundle, golden
from mlcore.models import ModelVersion

# The card of the first bundle, which is no longer shipped: it lacks what later cards have.
EARLY = Path(__file__).parent / "early_card.json"
SHIPPED: str = settings.SHIPPED_MODEL
SERIES = {"IM": 60, "NORMAL2-IM": 75, "bacteria": 250, "virus": 142}


def early_card() -> dict[str, Any]:
    """Return the first bundle's card, as `bundle.write` takes it."""
    card: dict[str, Any] = json.loads(EARLY.read_text())
    del card["files"], card["format_version"]
    return card


def full_card(name: str = "pneumonia-9", **changes: Any) -> dict[str, Any]:
    """Return the early card with every key of later bundles."""
    card = early_card()
    threshold = card["threshold"]["value"]
    card |= {
        "name": name,
        "members": 5,
        "conformal": {
            "method": "split-conformal, a quantile for each label",
            "coverage": 0.97,
            "lower": threshold / 2,
            "upper": (1 + threshold) / 2,
            "fitted_on": "validation",
            "n": {"NORMAL": 135, "PNEUMONIA": 388},
        },
        "roc_validation": roc_points(),
        "shortcuts": {
            "on": "test",
            "n": 527,
            "probes": [
                {"probe": probe, "auc": auc, "auc_ci": [auc - 0.02, min(1, auc + 0.01)]}
                for probe, auc in {
                    "none": 0.9935,
                    "lungs_masked": 0.8123,
                    "frame_masked": 0.9871,
                    "corners_masked": 0.9902,
                    "frame_alone": 0.7012,
                }.items()
            ],
            "activation_in_lungs": {"share": 0.74, "area": 0.31},
        },
        "robustness": {
            "on": "test",
            "n": 527,
            "rows": [
                {
                    "corruption": kind,
                    "severity": severity,
                    "auc": 0.99 - 0.01 * severity * place,
                    "sensitivity": 0.97 - 0.02 * severity,
                    "specificity": 0.95 - 0.03 * severity * place,
                    "out_of_scope_rate": 0.02 * severity,
                }
                for place, kind in enumerate(("blur", "jpeg", "crop", "moire_pattern"))
                for severity in (1, 2, 3)
            ],
        },
        "failures": failures(),
        "commands": {
            "train": f"manage.py train_model --data DIR --name {name} --seed 0 --members 5",
            "evaluate": f"manage.py evaluate_model --data DIR --model {name} --split test",
            "probe": f"manage.py evaluate_model --data DIR --model {name} --shortcut-probe",
        },
    }
    card["scope"]["measured"] = [
        {"set": name, "n": n, "flagged": flagged, "flagged_ci": [flagged - 0.01, flagged + 0.01]}
        for name, n, flagged in (
            ("paediatric films held out", 527, 0.021),
            ("adult films held out", 300, 0.953),
            ("turned or upside-down films", 527, 0.981),
            ("pictures that are no chest film", 200, 0.985),
        )
    ]
    for figures in card["metrics"].values():
        figures |= {
            "unsure_rate": 0.053,
            "unsure_rate_ci": [0.037, 0.075],
            "coverage": 0.985,
            "coverage_ci": [0.971, 0.992],
            "accuracy_when_sure": 0.984,
            "accuracy_when_sure_ci": [0.969, 0.992],
            "by_series": {
                series: {
                    "n": n,
                    "accuracy": 0.9 + 0.0123 * place,
                    "accuracy_ci": [0.85 + 0.0123 * place, 0.95 + 0.0123 * place],
                    "unsure_rate": 0.05,
                }
                for place, (series, n) in enumerate(SERIES.items())
            },
        }
    return card | changes


def roc_points(n: int = 60) -> dict[str, list[float]]:
    """Return a steep ROC curve, from the highest threshold down."""
    steps = [place / (n - 1) for place in range(n)]
    return {
        "probability": [round(1 / (1 + math.exp(9 * step - 4.5)), 6) for step in steps],
        "sensitivity": [round(1 - (1 - step) ** 6, 6) for step in steps],
        "specificity": [round(1 - step**9, 6) for step in steps],
    }


def failures() -> list[dict[str, Any]]:
    def film(truth: str, answer: str, p: float, series: str, where: str, *traits: str) -> Any:
        return {"truth": truth, "answer": answer, "probability": p, "series": series,
                "where": where, "traits": list(traits)}  # fmt: skip

    return [
        film("NORMAL", "PNEUMONIA", 0.998, "IM", "lower_right", "flat", "blurred"),
        film("PNEUMONIA", "NORMAL", 0.041, "virus", "middle", "bright_edge"),
        film("PNEUMONIA", "NORMAL", 0.102, "virus", "upper_left"),
        film("NORMAL", "PNEUMONIA", 0.951, "NORMAL2-IM", "lower_left", "sharp", "high_contrast"),
        film("PNEUMONIA", "UNSURE", 0.512, "bacteria", "", "dark_edge"),
        film("NORMAL", "OUT_OF_SCOPE", 0.755, "", "upper_right"),
    ]


def predictions(shift: float = 0.0, *, start: int = 0, n: int = 120) -> bytes:
    """Return a `predictions.csv` of `n` films; a larger `shift` separates the labels better."""
    rows = ["split,pixels_sha256,label,series,probability,scope_score"]
    for number in range(start, start + n):
        sick = number % 3 > 0
        grade = math.sin(number * 12.9898) + (0.8 + shift) * (1 if sick else -1)
        label, series = ("PNEUMONIA", "virus") if sick else ("NORMAL", "IM")
        rows.append(f"test,{number:064x},{label},{series},{1 / (1 + math.exp(-grade)):.8f},0.5")
    return ("\n".join(rows) + "\n").encode()


def write_bundle(root: Path, card: dict[str, Any], **files: bytes) -> ModelVersion:
    """Write a bundle around the shipped network under `root`, and register it.

    Args:
        root: folder of bundles.
        card: the bundle's card; its input is set to that of the shipped network.
        files: content of further files, by their name with `_` instead of the dot.
    """
    source = registry.folder_of(SHIPPED)
    shipped = json.loads((source / bundle.CARD).read_text())
    card |= {key: shipped[key] for key in ("input_size", "preprocessing", "explanation")}
    content = {
        path.name: path.read_bytes()
        for path in source.iterdir()
        if path.name not in (bundle.CARD, "predictions.csv")
    }
    content |= {name.replace("_", "."): data for name, data in files.items()}
    folder = bundle.write(root, card, content).folder
    # The shipped network reproduces its golden outputs; checking it again takes long.
    with mock.patch.object(golden, "check"):
        return registry.register(folder)
