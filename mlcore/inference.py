"""Prediction with the active model: the only entry point to the network."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from django.conf import settings

from mlcore import registry
from mlcore.decoding import decode_film
from mlcore.engine.data.population import is_inside
from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.film import Film
from mlcore.engine.films.header import DicomHeader
from mlcore.engine.serving import resemblance
from mlcore.engine.serving.decision import RULE, UNSURE, DecisionRule
from mlcore.engine.serving.explain import (
    decode_activation_map,
    encode_activation_map,
    render_heatmap,
    render_outline,
)
from mlcore.engine.serving.lung_coverage import LEAST_INSIDE, VISIBLE, coverage, share_inside
from mlcore.engine.serving.pipeline import Output
from mlcore.engine.serving.preprocess import LUNG_BOX
from mlcore.engine.serving.runtime import OutputError
from mlcore.registry import LoadedModel, ModelUnavailable

__all__ = [
    "NOWHERE",
    "RULE",
    "UNSURE",
    "DecisionRule",
    "FilmError",
    "ModelUnavailable",
    "Prediction",
    "Stated",
    "active_model",
    "decide",
    "decode_activation_map",
    "encode_activation_map",
    "heatmap_place",
    "is_validated_age",
    "lung_mask",
    "model_named",
    "predict",
    "reads_lungs",
    "render_heatmap",
    "render_outline",
    "shows_evidence",
]

OUT_OF_SCOPE = "OUT_OF_SCOPE"
NOWHERE = "nowhere"

# The network runs in these threads so that a timeout applies. A run that hangs keeps its thread;
# once all threads of a worker hang, it answers "timeout" until it is restarted.
_RUNS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="inference")


@dataclass(frozen=True)
class Stated:
    """What is stated about a film; None means not stated and never puts a film out of scope.

    Attributes:
        age_years: the patient's age, as the doctor states it.
        modality: upper case: CR, DX, ...
        view: upper case: PA, AP, LL, ...
        body_part: upper case: CHEST, ...
        header_age_years: the patient's age in the DICOM header. It counts beside `age_years`: if
            either is outside the validated range, the film is out of scope.
        trusts_header_age: False if the header is known to belong to somebody else or to be wrong.
            Its age then counts only where `age_years` is None.
        header_ages_differ: the header's age contradicts its birth date, so that one of them may be
            outside the validated range.
    """

    age_years: float | None = None
    modality: str | None = None
    view: str | None = None
    body_part: str | None = None
    header_age_years: float | None = None
    trusts_header_age: bool = True
    header_ages_differ: bool = False

    def completed_by(self, header: DicomHeader | None) -> "Stated":
        """Return a copy with the header's age, and missing values taken from a DICOM header."""
        if header is None:
            return self
        return replace(
            self,
            age_years=header.age_years if self.age_years is None else self.age_years,
            header_age_years=header.age_years if self.trusts_header_age else None,
            header_ages_differ=self.trusts_header_age and header.ages_differ,
            modality=self.modality or header.modality,
            view=self.view or header.view_position,
            body_part=self.body_part or header.body_part,
        )


@dataclass(frozen=True, eq=False)
class Prediction:
    """A model's prediction for one film.

    Attributes:
        label: one of the card's labels, UNSURE, or OUT_OF_SCOPE.
        probabilities: calibrated probabilities by label; they sum to 1.
        rule: the limits that decided the label, unless the film is out of scope.
        threshold: the card's ranking threshold, for comparing models; it decides no label.
        scope_score: the higher, the less the film resembles the validation films; above
            `scope_threshold` the image alone puts it out of scope.
        scope_threshold: limit of the scope score.
        scope_reasons: those that apply of "picture", "population" (not stated on the card),
            "age", "modality", "view", "body_part".
        resembles: why a film is refused for its image: a finding of `lungs.REFUSED`, or what it
            resembles, one of `resemblance.CAUSES`; "" if nothing is likely enough, or if the image
            is in scope.
        hints: findings of `lungs.HINTS` about how the film was taken.
        activation_map: (h, w) float32 in [0, 1], local evidence for PNEUMONIA.
        model: name of the model version.
        bundle_sha256: hash of the model's bundle.
        preprocessing_id: the preprocessing algorithm.
        milliseconds: duration of preprocessing and network.
    """

    label: str
    probabilities: dict[str, float]
    rule: DecisionRule
    threshold: float
    scope_score: float
    scope_threshold: float
    scope_reasons: tuple[str, ...]
    resembles: str
    hints: tuple[str, ...]
    activation_map: np.ndarray
    model: str
    bundle_sha256: str
    preprocessing_id: str
    milliseconds: float


def predict(
    film: bytes | Film, *, stated: Stated = Stated(), model: LoadedModel | None = None
) -> Prediction:
    """Predict a film.

    Args:
        film: the content of a file, or a decoded film.
        stated: what is stated about the film; missing values come from its DICOM header.
        model: the model to use; defaults to the active model.

    Raises:
        FilmError: the file is not a readable film.
        ModelUnavailable: there is no model, its bundle is damaged, its output is invalid, or it
            took longer than `settings.INFERENCE_TIMEOUT_S`.
    """
    if isinstance(film, bytes):
        film = decode_film(film)
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
        rule=DecisionRule.of(loaded.card),
        threshold=loaded.card["threshold"]["value"],
        scope_score=output.scope_score,
        scope_threshold=loaded.card["scope"]["threshold"],
        scope_reasons=reasons,
        resembles=_cause(film, output) if "picture" in reasons else "",
        hints=output.lungs.hints if output.lungs else (),
        activation_map=loaded.pipeline.heatmap(output),
        model=loaded.name,
        bundle_sha256=loaded.sha256,
        preprocessing_id=loaded.card["preprocessing"]["id"],
        milliseconds=milliseconds,
    )


def lung_mask(film: Film, *, model: LoadedModel) -> np.ndarray | None:
    """Return where a model sees the lungs: (h, w) uint8, 255 in the lungs, the film squashed.

    Returns:
        None if the model reads whole films.

    Raises:
        ModelUnavailable: the model's output is invalid, or it took too long.
    """
    if not reads_lungs(model.card["preprocessing"]["id"]):
        return None
    found = _run_in_time(model, film).lungs
    return None if found is None else found.mask


def _cause(film: Film, output: Output) -> str:
    """Return why a film is refused for its image: its exposure, missing lungs, or what it shows."""
    cause = resemblance.shipped().cause(film.pixels, output.squashed)
    if cause in resemblance.EXPOSURES or output.lungs is None:
        return cause
    return output.lungs.refusal or cause


def model_named(name: str, *, sha256: str) -> LoadedModel:
    """Return a registered model if its bundle has the given hash.

    Raises:
        ModelUnavailable: it is not registered, or its bundle is missing, damaged or different.
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
    """Return the label by the card's rule of decision, and the reasons if it is out of scope.

    A pure function, so that the label of a stored reading can be updated when a doctor corrects the
    patient's age.
    """
    reasons = _scope_reasons(card, scope_score=scope_score, stated=stated)
    if reasons:
        return OUT_OF_SCOPE, reasons
    rule = DecisionRule.of(card)
    return rule.result(probabilities[rule.labels[1]]), ()


def is_validated_age(card: Mapping[str, Any], age_years: float) -> bool:
    """Return whether an age is within the range that the model of `card` was validated on."""
    return is_inside(card["population"], age_years)


def active_model() -> LoadedModel:
    """Return the active model.

    Raises:
        ModelUnavailable: none is active, or its bundle is damaged.
    """
    return registry.active_model()


def _scope_reasons(
    card: Mapping[str, Any], *, scope_score: float, stated: Stated
) -> tuple[str, ...]:
    population = card["population"]
    reasons = []
    if scope_score > card["scope"]["threshold"]:
        reasons.append("picture")
    ages = [age for age in (stated.age_years, stated.header_age_years) if age is not None]
    if not population.get("age_years"):
        reasons.append("population")
    elif stated.header_ages_differ or not all(is_validated_age(card, age) for age in ages):
        reasons.append("age")
    for reason, value in (
        ("modality", stated.modality),
        ("view", stated.view),
        ("body_part", stated.body_part),
    ):
        if value and value.upper() not in population.get(reason, ()):
            reasons.append(reason)
    return tuple(reasons)


def reads_lungs(preprocessing_id: str) -> bool:
    """Return whether a reading's model saw the lungs only, so its heatmap lies in them."""
    return preprocessing_id == LUNG_BOX


def heatmap_place(pixels: np.ndarray, activation_map: np.ndarray) -> str:
    """Estimate where a heatmap's evidence lies.

    Coarse, and wrong for some films: `mlcore.engine.serving.lung_coverage` and decision 0023 say
    how often.

    Args:
        pixels: (H, W) uint8, the film or a thumbnail of it.
        activation_map: (h, w) in [0, 1].

    Returns:
        NOWHERE if the heatmap shows no evidence, "outside" if most of it may lie outside the
        lungs, otherwise "inside".
    """
    if not shows_evidence(activation_map):
        return NOWHERE
    share = share_inside(activation_map, coverage(pixels))
    return "outside" if share is not None and share < LEAST_INSIDE else "inside"


def shows_evidence(activation_map: np.ndarray) -> bool:
    """Return whether the colours of a heatmap can be seen anywhere."""
    return bool(activation_map.max() >= VISIBLE)
