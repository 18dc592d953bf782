"""LiteRT sessions that run a bundle's network. Imports neither TensorFlow nor Keras."""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

OUTPUTS = ("probability", "activation_map", "scope_score")


class SessionError(RuntimeError):
    """Raised when a `.tflite` file cannot be run."""


class OutputError(RuntimeError):
    """Raised when an output of the network is invalid."""


@dataclass(frozen=True, eq=False)
class Output:
    """The network's output for one film.

    Attributes:
        probability: calibrated probability of PNEUMONIA, in [0, 1].
        activation_map: (h, w) float32 local log-odds before calibration; their mean is the
            film's log-odds.
        scope_score: finite; the higher, the less the film resembles the validation films.
    """

    probability: float
    activation_map: npt.NDArray[np.float32]
    scope_score: float


class Session:
    """A network in memory. Thread-safe: runs are serialised.

    Args:
        content: the content of a `.tflite` file.
        threads: CPU threads per run.

    Raises:
        SessionError: the file is invalid or lacks an output.
    """

    def __init__(self, content: bytes, *, threads: int = 1) -> None:
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=threads)
            self._runner = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise SessionError(f"The network cannot be loaded: {error}") from error
        missing = set(OUTPUTS) - set(self._runner.get_output_details())
        if missing:
            raise SessionError(f"The network lacks the outputs {', '.join(sorted(missing))}.")
        (self._input_name, details), *_ = self._runner.get_input_details().items()
        self.input_shape: tuple[int, ...] = tuple(int(side) for side in details["shape"])
        self._lock = threading.Lock()

    def run(self, film: npt.NDArray[np.float32]) -> Output:
        """Run the network on one prepared film.

        Args:
            film: (size, size, 1) float32 in [0, 1], from `preprocess.prepare`.

        Raises:
            ValueError: the film has the wrong shape or type.
            OutputError: an output is not finite, or the probability is outside [0, 1].
        """
        if film.shape != self.input_shape[1:] or film.dtype != np.float32:
            raise ValueError(
                f"Expected a {self.input_shape[1:]} float32 film. "
                f"Received: {film.shape} {film.dtype}."
            )
        with self._lock:
            raw: dict[str, Any] = self._runner(**{self._input_name: film[np.newaxis]})
            # Copied, because the interpreter reuses the memory of these arrays in the next run.
            values = {name: np.array(raw[name], np.float32) for name in OUTPUTS}
        return _checked(values)


def _checked(values: dict[str, npt.NDArray[np.float32]]) -> Output:
    for name, value in values.items():
        if not np.isfinite(value).all():
            raise OutputError(f"{name} is not finite")
    probability = float(values["probability"].reshape(()))
    if not -1e-6 <= probability <= 1 + 1e-6:
        raise OutputError(f"the probability is {probability}")
    _, height, width = values["activation_map"].shape[:3]
    return Output(
        probability=min(1.0, max(0.0, probability)),
        activation_map=values["activation_map"].reshape(height, width),
        scope_score=float(values["scope_score"].reshape(())),
    )
