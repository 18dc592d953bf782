"""Derived bundles: the networks of a bundle with limits that were fitted to a site.

The network files are copied byte for byte. The derived card replaces what depends on the limits,
keeps what depends on the networks alone, and says what it was derived from.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mlcore.engine import metrics
from mlcore.engine.evaluation import site_films
from mlcore.engine.evaluation.compare import COLUMNS, PREDICTIONS, TRAINED_ON
from mlcore.engine.serving import bundle, conformal, golden
from mlcore.engine.serving.pipeline import Pipeline
from mlcore.engine.training.site import CrossFitted, network_calibration

METHOD = (
    "Platt scaling, ranking threshold and conformal limits fitted to the site's films; the figures "
    "of the test set are cross-fitted, each film judged by limits fitted without its patient"
)
CALIBRATION_METHOD = "Platt: log-odds / temperature + bias"
THRESHOLD_HOW = (
    "median over 500 bootstrap samples of the threshold that maximises sensitivity + specificity, "
    "on the site's films"
)
# What a derived card keeps: it depends on the networks alone, or describes how they were trained.
KEPT = (
    "labels", "input_size", "members", "preprocessing", "population", "data", "training",
    "explanation", "lung_field", "lungs",
)  # fmt: skip
NETWORK_FILES = (bundle.KERAS, bundle.TFLITE, bundle.LUNGS_KERAS, bundle.LUNGS_TFLITE)


def card_of(
    base: bundle.Bundle, fitted: CrossFitted, *, name: str, site: str, date: str, seed: int = 0
) -> dict[str, Any]:
    """Return the card of a derived bundle, without the files.

    Args:
        base: the bundle that it is derived from.
        fitted: the limits for the site.
        name: name of the derived model.
        site: what the site is called.
        date: day of the fit, ISO 8601.
        seed: seed of the fit.
    """
    films, limits, base_card = fitted.films, fitted.limits, base.card
    card = {key: base_card[key] for key in KEPT if key in base_card}
    card |= {
        "name": name,
        "derived": {
            "from": base.name,
            "bundle_sha256": base.sha256,
            "site": site,
            "date": date,
            "n": films.counts,
            "patients": films.patients,
            "folds": fitted.folds,
            "seed": seed,
            "data_sha256": films.sha256,
            "method": METHOD,
        },
        "commands": {"derive": _command(base.name, site, name)},
    }
    card |= _limits(base_card, fitted)
    cross_fitted = fitted.figures(scope_limit=base_card["scope"]["threshold"])
    own = replace(films, probabilities=limits.calibration.probabilities(films.logits))
    # The limits were fitted to these films, as on every card's validation set.
    card["metrics"] = {"validation": site_films.figures(own, card), "test": cross_fitted}
    card["calibration"] |= {key: cross_fitted[key] for key in ("ece", "brier")}
    card["roc_validation"] = metrics.roc_points(films.labels, own.probabilities)
    card["scope"] = _scope(base_card["scope"], card["metrics"])
    if "shortcuts" in base_card:
        # Ranking films is the same at any calibration.
        card["shortcuts"] = base_card["shortcuts"]
    return card


def _command(base: str, site: str, name: str) -> str:
    return (
        f'manage.py validate_site --data DIR --model {base} --name "{site}" --fit --bundle {name}'
    )


def _limits(base_card: Mapping[str, Any], fitted: CrossFitted) -> dict[str, Any]:
    limits, counts = fitted.limits, fitted.films.counts
    network = network_calibration(base_card)
    band = limits.abstention
    return {
        "calibration": {
            "method": CALIBRATION_METHOD,
            "temperature": limits.calibration.temperature,
            "bias": limits.calibration.bias,
            "fitted_on": "site",
            "network": {"temperature": network.temperature, "bias": network.bias},
        },
        "threshold": {
            "value": limits.threshold,
            "chosen_on": "validation",
            "how": THRESHOLD_HOW,
            "share_of_pneumonia": float(fitted.films.labels.mean()),
        },
        "conformal": {
            "method": conformal.METHOD,
            "coverage": band.coverage,
            "lower": band.lower,
            "upper": band.upper,
            "fitted_on": "site",
            "n": counts,
        },
        "scope": base_card["scope"],
    }


def _scope(base: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Any]:
    flagged = {split: figures["out_of_scope_rate"] for split, figures in found.items()}
    return dict(base) | {"flagged": flagged}


def write(
    root: Path, base: bundle.Bundle, card: dict[str, Any], fitted: CrossFitted, plot: bytes | None
) -> bundle.Bundle:
    """Write a derived bundle under `root`, completely or not at all.

    Args:
        root: folder of bundles.
        base: the bundle that it is derived from.
        card: see `card_of`.
        fitted: the limits for the site.
        plot: the reliability diagram, if there is one.

    Raises:
        BundleError: a bundle with this name exists, or a file of the base bundle was altered.
    """
    files = {name: _file(base, name) for name in NETWORK_FILES if name in base.card["files"]}
    pipeline = Pipeline.of(replace(base, card=card))
    files |= {
        bundle.GOLDEN: golden.make(pipeline.run),
        PREDICTIONS: _predictions(base, card, fitted),
    }
    card["plots"] = []
    if plot is not None:
        files["reliability.png"] = plot
        card["plots"] = ["reliability.png"]
    return bundle.write(root, card, files)


def _file(base: bundle.Bundle, name: str) -> bytes:
    content = (base.folder / name).read_bytes()
    if bundle.digest(content) != base.card["files"][name]:
        raise bundle.BundleError(f"{name} of {base.name} does not match the SHA-256 on its card.")
    return content


def _predictions(base: bundle.Bundle, card: Mapping[str, Any], fitted: CrossFitted) -> bytes:
    """Return the site's films as validation films, and those that trained the networks.

    The base's films are kept by their hashes so that no evaluation of the derived model counts
    them as unseen.
    """
    films, limits = fitted.films, fitted.limits
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    probabilities = limits.calibration.probabilities(films.logits)
    for record, p, score in zip(films.records, probabilities, films.scope_scores, strict=True):
        writer.writerow(
            ["validation", record.pixels_sha256, record.label, record.series, f"{p:.8f}",
             f"{score:.6f}"]
        )  # fmt: skip
    if PREDICTIONS in base.card["files"]:
        site = {record.pixels_sha256 for record in films.records}
        rows = csv.DictReader(io.StringIO(_file(base, PREDICTIONS).decode("utf-8")))
        for row in rows:
            if row["split"] in ("validation", TRAINED_ON) and row["pixels_sha256"] not in site:
                p = _recalibrated(float(row["probability"]), base.card, card)
                writer.writerow(
                    [TRAINED_ON, row["pixels_sha256"], row["label"], row["series"], f"{p:.8f}",
                     row["scope_score"]]
                )  # fmt: skip
    return text.getvalue().encode()


def _recalibrated(probability: float, base: Mapping[str, Any], card: Mapping[str, Any]) -> float:
    """Convert a probability from the base's calibration to the derived one."""
    old, new = base["calibration"], card["calibration"]
    p = min(1 - 1e-8, max(1e-8, probability))
    logit = (np.log(p / (1 - p)) - old["bias"]) * old["temperature"]
    return float(1 / (1 + np.exp(-(logit / new["temperature"] + new["bias"]))))
