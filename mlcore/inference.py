"""What a film is, by the active model: the one door to the network for the rest of the site."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.conf import settings

from mlcore import registry
from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.film import Film, read_film
from mlcore.engine.films.header import DicomHeader
from mlcore.engine.serving.conformal import Abstention
from mlcore.engine.serving.explain import (
    decode_activation_map,
    encode_activation_map,
    render_heatmap,
)
from mlcore.engine.serving.runtime import Output, OutputError
from mlcore.registry import LoadedModel, ModelUnavailable

__all__ = [
    "FilmError",
    "ModelUnavailable",
    "Prediction",
    "Stated",
    "decide",
    "decode_activation_map",
    "encode_activation_map",
    "model_named",
    "predict",
    "render_heatmap",
]

OUT_OF_SCOPE = "OUT_OF_SCOPE"
UNSURE = "UNSURE"

# Threads that a network run is waited for on. A run that hangs keeps its thread; the others
# still serve, and a worker whose threads all hang answers "timeout" until it is restarted.
_RUNS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="inference")


@dataclass(frozen=True)
class Stated:
    """What the sender says of a film; None where nothing is said, which refuses nothing."""

    age_years: float | None = None
    modality: str | None = None
    view: str | None = None
    body_part: str | None = None

    def completed_by(self, header: DicomHeader | None) -> "Stated":
        """Return this, with what is None taken from a DICOM file's header."""
        if header is None:
            return self
        return replace(
            self,
            age_years=header.age_years if self.age_years is None else self.age_years,
            modality=self.modality or header.modality,
            view=self.view or header.view_position,
            body_part=self.body_part or header.body_part,
        )


@dataclass(frozen=True, eq=False)
class Prediction:
    """One film's reading.

    Attributes:
        label: one of the card's labels, UNSURE, or OUT_OF_SCOPE.
        probabilities: calibrated, by label; they sum to 1.
        threshold: probability of PNEUMONIA from which the label is PNEUMONIA.
        scope_score: how unlike the validated films this one is; above `scope_threshold` the
            picture alone puts it out of scope.
        scope_reasons: of "picture", "age", "modality", "view", "body_part", those that apply.
        activation_map: (h, w) float32 in [0, 1], local evidence for PNEUMONIA.
        model: name of the model version.
        bundle_sha256: of the bundle it was made with.
        preprocessing_id: names the algorithm from pixels to input.
        milliseconds: preparing the film and running the network.
    """

    label: str
    probabilities: dict[str, float]
    threshold: float
    scope_score: float
    scope_threshold: float
    scope_reasons: tuple[str, ...]
    activation_map: np.ndarray
    model: str
    bundle_sha256: str
    preprocessing_id: str
    milliseconds: float


def predict(
    film: bytes | Film, *, stated: Stated = Stated(), model: LoadedModel | None = None
) -> Prediction:
    """Read a film.

    Args:
        film: a whole file, or a film read from one.
        stated: what the sender says; a DICOM header fills what it leaves open.
        model: the model to read with; without one, the active model.

    Raises:
        FilmError: the bytes are no readable film.
        ModelUnavailable: there is no model, its bundle is damaged, its answer cannot be right,
            or it did not come within `settings.INFERENCE_TIMEOUT_S`.
    """
    if isinstance(film, bytes):
        film = read_film(film)
    loaded = model or registry.active_model()
    started = time.perf_counter()
    output = _run_in_time(loaded, film)
    milliseconds = 1000 * (time.perf_counter() - started)
    negative, positive = loaded.card["labels"]
    probabilities = {negative: 1 - output.probability, positive: output.probability}
    label, reasons = decide(
        loaded.card,
        probabilities=probabilities,
        scope_score=output.scope_score,
        stated=stated.completed_by(film.header),
    )
    return Prediction(
        label=label,
        probabilities=probabilities,
        threshold=loaded.card["threshold"]["value"],
        scope_score=output.scope_score,
        scope_threshold=loaded.card["scope"]["threshold"],
        scope_reasons=reasons,
        activation_map=loaded.local_evidence(output),
        model=loaded.name,
        bundle_sha256=loaded.sha256,
        preprocessing_id=loaded.card["preprocessing"]["id"],
        milliseconds=milliseconds,
    )


def model_named(name: str, *, sha256: str) -> LoadedModel:
    """Return a registered model, if its bundle is still the one with that hash.

    Raises:
        ModelUnavailable: it is not registered, its bundle is missing, damaged or another.
    """
    version = registry.find(name)
    if version is None or version.bundle_sha256 != sha256:
        raise ModelUnavailable("missing", f"{name} with hash {sha256} is not registered")
    return registry.loaded_version(version)


def _run_in_time(loaded: LoadedModel, film: Film) -> Output:
    run = _RUNS.submit(loaded.run, film.pixels)
    try:
        return run.result(timeout=settings.INFERENCE_TIMEOUT_S)
    except FutureTimeoutError as error:
        run.cancel()
        raise ModelUnavailable("timeout") from error
    except OutputError as error:
        raise ModelUnavailable("invalid_output", str(error)) from error


def decide(
    card: Mapping[str, Any],
    *,
    probabilities: Mapping[str, float],
    scope_score: float,
    stated: Stated,
) -> tuple[str, tuple[str, ...]]:
    """Return the label under the card's rule, and why the film is out of scope if it is.

    Pure: the same figures and statements give the same label, so a stored reading can be decided
    again where a doctor corrects the patient's age.
    """
    reasons = _scope_reasons(card, scope_score=scope_score, stated=stated)
    if reasons:
        return OUT_OF_SCOPE, reasons
    negative, positive = card["labels"]
    abstention = Abstention.of(card)
    if abstention is not None and abstention.is_unsure(probabilities[positive]):
        return UNSURE, ()
    is_positive = probabilities[positive] >= card["threshold"]["value"]
    return (positive if is_positive else negative), ()


def _scope_reasons(
    card: Mapping[str, Any], *, scope_score: float, stated: Stated
) -> tuple[str, ...]:
    population = card["population"]
    lowest, highest = population["age_years"]
    reasons = []
    if scope_score > card["scope"]["threshold"]:
        reasons.append("picture")
    # A child is five years old until the sixth birthday.
    if stated.age_years is not None and not lowest <= stated.age_years < highest + 1:
        reasons.append("age")
    for reason, value in (
        ("modality", stated.modality),
        ("view", stated.view),
        ("body_part", stated.body_part),
    ):
        if value and value.upper() not in population[reason]:
            reasons.append(reason)
    return tuple(reasons)
