"""The whole way from a film's pixels to a bundle's output: preprocessing and networks."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from mlcore.engine.serving import lung_box
from mlcore.engine.serving import lungs as lung_finder
from mlcore.engine.serving.bundle import LUNGS_TFLITE, TFLITE, Bundle, BundleError
from mlcore.engine.serving.calibration import Calibration, film_log_odds
from mlcore.engine.serving.explain import Reference
from mlcore.engine.serving.lungs import Lungs
from mlcore.engine.serving.preprocess import (
    Preprocessing,
    as_input,
    local_contrast,
    prepare,
    resize,
    squash,
)
from mlcore.engine.serving.runtime import OutputError, Session

# Of `model.tflite`, and of `lungs.tflite` in a bundle that reads the lungs only.
OUTPUTS = ("probability", "activation_map", "scope_score")
LUNG_OUTPUTS = ("lungs", "scope_score")
OUTPUTS_OF = {TFLITE: OUTPUTS, LUNGS_TFLITE: LUNG_OUTPUTS}
# Side of a heatmap on the film, of a bundle that reads the lungs only.
MAP_SIDE = 56
# Scope score of a film without two lungs, far above every limit.
UNREADABLE = 10.0

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class Output:
    """The networks' output for one film.

    Attributes:
        probability: calibrated probability of PNEUMONIA, in [0, 1].
        activation_map: (h, w) float32 local log-odds before calibration, of the film or of the box
            around the lungs; their mean is the film's log-odds.
        scope_score: finite; the higher, the less the film resembles the validation films.
        lungs: the lungs, of a bundle that reads them only.
        squashed: the film after `preprocess.squash`, from which everything was computed.
    """

    probability: float
    activation_map: npt.NDArray[np.float32]
    scope_score: float
    lungs: Lungs | None = None
    squashed: Pixels | None = None


class Network(Protocol):
    """A network that takes one prepared film: a `Session`, or Keras while training."""

    input_shape: tuple[int, ...]

    def run(self, film: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]: ...


@dataclass(frozen=True, eq=False)
class Pipeline:
    """The networks of a bundle with their preprocessing. Thread-safe if the networks are.

    Attributes:
        spec: the preprocessing.
        reference: the reference of the heatmap.
        model: reads the film, or the inside of the lungs; has `OUTPUTS`.
        finder: finds the lungs; has `LUNG_OUTPUTS`. None for a bundle that reads whole films.
        calibration: replaces the calibration in the network's graph, in a bundle that was derived
            for a site; None if the graph's own counts.
    """

    spec: Preprocessing
    reference: Reference
    model: Network
    finder: Network | None = None
    calibration: Calibration | None = None

    @classmethod
    def of(cls, bundle: Bundle) -> "Pipeline":
        """Load the networks of a bundle.

        Raises:
            SessionError: a network is invalid.
            BundleError: this version of the code does not support the card's preprocessing, or the
                card states another input size than the network's.
        """
        card, networks = bundle.card, bundle.networks
        try:
            spec = Preprocessing.from_card(card["preprocessing"])
            reference = Reference.from_card(card["explanation"])
            calibration = Calibration.outside_network(card)
        except (ValueError, KeyError, TypeError) as error:
            raise BundleError(f"The card cannot be used: {error!r}") from error
        model = Session(networks[TFLITE], outputs=OUTPUTS)
        if model.input_shape[1] != card["input_size"]:
            raise BundleError(
                f"The card states an input of {card['input_size']} pixels a side; the network's "
                f"input has {model.input_shape[1]}."
            )
        finder = None
        if spec.reads_lungs:
            finder = Session(networks[LUNGS_TFLITE], outputs=LUNG_OUTPUTS)
        return cls(spec, reference, model, finder, calibration)

    @property
    def size(self) -> int:
        """Side of the input of `model` in pixels."""
        return self.model.input_shape[1]

    def run(self, pixels: Pixels) -> Output:
        """Preprocess a film and run the networks.

        Args:
            pixels: (H, W) uint8, higher is whiter.

        Raises:
            OutputError: an output is not finite, or the probability is outside [0, 1].
        """
        film = squash(pixels, self.spec)
        if self.finder is None:
            output = _checked(self.model.run(prepare(film, size=self.size, spec=self.spec)))
        else:
            found, score = self._find(film)
            box = lung_box.prepare(film, found, size=self.size, spec=self.spec)
            output = _checked(self.model.run(as_input(box)), lungs=found, scope_score=score)
        return self._calibrated(replace(output, squashed=film))

    def _calibrated(self, output: Output) -> Output:
        if self.calibration is None:
            return output
        log_odds = film_log_odds(output.activation_map)
        return replace(output, probability=float(self.calibration.probabilities(log_odds)))

    def _find(self, film: Pixels) -> tuple[Lungs, float]:
        if self.finder is None:
            raise ValueError("This bundle reads whole films and finds no lungs.")
        raw = self.finder.run(as_input(whole(film, self.finder.input_shape[1])))
        found = lung_finder.find(raw["lungs"].squeeze(axis=(0, 3)), film)
        score = float(raw["scope_score"].reshape(()))
        return found, score if found.are_readable else max(score, UNREADABLE)

    def heatmap(self, output: Output) -> npt.NDArray[np.float32]:
        """Return the (h, w) heatmap of the film in [0, 1], the local evidence for PNEUMONIA."""
        evidence = self.reference.local_evidence(output.activation_map)
        if output.lungs is None:
            return evidence
        return lung_box.on_film(evidence, output.lungs, spec=self.spec, cells=MAP_SIDE)


def whole(film: Pixels, size: int) -> Pixels:
    """Preprocess a squashed film for the network that finds the lungs: (size, size) uint8."""
    return local_contrast(resize(film, size))


def _checked(
    values: Mapping[str, npt.NDArray[np.float32]],
    *,
    lungs: Lungs | None = None,
    scope_score: float = -np.inf,
) -> Output:
    probability = float(values["probability"].reshape(()))
    if not -1e-6 <= probability <= 1 + 1e-6:
        raise OutputError(f"the probability is {probability}")
    _, height, width = values["activation_map"].shape[:3]
    return Output(
        probability=min(1.0, max(0.0, probability)),
        activation_map=values["activation_map"].reshape(height, width),
        # The film as a whole and the inside of the lungs must both be in scope.
        scope_score=max(scope_score, float(values["scope_score"].reshape(()))),
        lungs=lungs,
    )
