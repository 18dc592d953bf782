"""A hospital's own labelled films with a model's outputs, and the model's figures on them."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine import metrics
from mlcore.engine.data import dataset
from mlcore.engine.data.dataset import LABELS, FilmRecord, Manifest, Unreadable
from mlcore.engine.evaluation import outcomes, predictions, sample_size
from mlcore.engine.films.film import Film
from mlcore.engine.serving.calibration import film_log_odds
from mlcore.engine.serving.conformal import Abstention
from mlcore.engine.serving.decision import DecisionRule
from mlcore.engine.serving.pipeline import Output
from mlcore.engine.serving.runtime import OutputError

Vector = npt.NDArray[Any]
Run = Callable[[npt.NDArray[np.uint8]], Output]
INVALID_OUTPUT = "invalid_output"


@dataclass(frozen=True, eq=False)
class SiteFilms:
    """n films of a site with the outputs of one model.

    Attributes:
        records: the films.
        unreadable: files that are no readable film, or that the model has no valid output for.
        labels: (n,) 0 or 1.
        logits: (n,) log-odds before calibration.
        probabilities: (n,) calibrated probabilities of PNEUMONIA.
        scope_scores: (n,) scope scores.
        hints: the findings of `lungs.HINTS` about each film.
    """

    records: list[FilmRecord]
    unreadable: list[Unreadable]
    labels: Vector
    logits: Vector
    probabilities: Vector
    scope_scores: Vector
    hints: list[tuple[str, ...]]

    @property
    def series(self) -> list[str]:
        return [record.series for record in self.records]

    @property
    def sha256(self) -> str:
        """The hash that identifies the films and their labels."""
        return outcomes.films_sha256((film.pixels_sha256, film.label) for film in self.records)

    @property
    def counts(self) -> dict[str, int]:
        """Number of films by label."""
        return {label: int((self.labels == i).sum()) for i, label in enumerate(LABELS)}

    @property
    def patients(self) -> int:
        """Number of patients, as far as file names and DICOM headers tell them apart."""
        return len({record.patient for record in self.records})


def read(
    root: Path,
    run: Run,
    *,
    ignored: Sequence[str] = (),
    on_progress: Callable[[int, int], None] | None = None,
) -> SiteFilms:
    """Read every film of a folder with class folders, and run a model on it.

    Films with the same patient number in their DICOM headers are of one patient, whatever their
    file names.

    Args:
        root: see `dataset.find_files`.
        run: thread-safe function from (H, W) uint8 pixels to the output.
        ignored: see `dataset.find_files`.
        on_progress: called with (files read, total files).

    Raises:
        DatasetError: there are no class folders, or no usable film of a label.
    """
    outputs: dict[str, Output] = {}
    patients: dict[str, str] = {}
    failed: list[Unreadable] = []

    def on_film(record: FilmRecord, film: Film) -> None:
        number = film.header.patient_id if film.header else None
        if number:
            # Only compared, and never written anywhere.
            patients[record.path] = hashlib.sha256(number.encode()).hexdigest()
        try:
            outputs[record.path] = run(film.pixels)
        except OutputError as error:
            failed.append(Unreadable(record.path, INVALID_OUTPUT, str(error)))

    manifest = dataset.scan(
        root, measured=False, ignored=ignored, on_film=on_film, on_progress=on_progress
    )
    return _of(manifest, outputs, patients, failed)


def _of(
    manifest: Manifest,
    outputs: Mapping[str, Output],
    patients: Mapping[str, str],
    failed: list[Unreadable],
) -> SiteFilms:
    records = [
        replace(film, patient=patients.get(film.path, film.patient))
        for film in manifest.films
        if film.path in outputs
    ]
    if missing := [label for label in LABELS if not any(r.label == label for r in records)]:
        raise dataset.DatasetError(
            f"The model has no valid output for any film of: {', '.join(missing)}."
        )
    given = [outputs[record.path] for record in records]
    return SiteFilms(
        records=records,
        unreadable=[*manifest.unreadable, *failed],
        labels=np.array([LABELS.index(record.label) for record in records]),
        logits=np.array([film_log_odds(output.activation_map) for output in given]),
        probabilities=np.array([output.probability for output in given]),
        scope_scores=np.array([output.scope_score for output in given]),
        hints=[output.lungs.hints if output.lungs else () for output in given],
    )


def figures(films: SiteFilms, card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures of the model of `card` on the films, with the keys of a card's metrics.

    Every film counts; films out of scope are counted by their probability.
    """
    threshold, abstention = card["threshold"]["value"], Abstention.of(card)
    outside = films.scope_scores > card["scope"]["threshold"]
    found = predictions.figures(
        films.labels,
        films.probabilities,
        threshold=threshold,
        abstention=abstention,
        flagged=int(outside.sum()),
    )
    found["by_series"] = predictions.by_series(
        films.series, films.labels, films.probabilities, threshold=threshold, abstention=abstention
    )
    found["decision"] = outcomes.outcomes(
        films.labels,
        films.probabilities,
        rule=DecisionRule.of(card),
        out_of_scope=outside,
        series=films.series,
    )
    return found


def reliability_table(labels: Vector, probabilities: Vector) -> list[dict[str, float]]:
    """Return the points of the reliability diagram."""
    return [
        {"probability": mean, "observed": observed, "n": count}
        for mean, observed, count in metrics.reliability(labels, probabilities)
    ]


def films_needed(found: Mapping[str, Any], half_width: float) -> dict[str, Any]:
    """Return how many films sensitivity and specificity need; see `sample_size.needed`.

    Args:
        found: the result of `figures`.
        half_width: half the width of the 95 % intervals.
    """
    of_label = {"sensitivity": LABELS[1], "specificity": LABELS[0]}
    return {
        name: (entry := sample_size.needed(found[name], tuple(found[f"{name}_ci"]), half_width))
        and entry | {"label": label}
        for name, label in of_label.items()
    }
