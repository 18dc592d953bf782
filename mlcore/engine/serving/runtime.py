"""A LiteRT session: a bundle's network, ready to run. Imports neither TensorFlow nor Keras."""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

OUTPUTS = ("probability", "activation_map", "scope_score")


class SessionError(RuntimeError):
    """The bytes are no network that can be run here."""


class OutputError(RuntimeError):
    """The network answered something that cannot be right."""


@dataclass(frozen=True, eq=False)
class Output:
    """What one run of the network says of one film.

    Attributes:
        probability: of PNEUMONIA, calibrated, in [0, 1].
        activation_map: (h, w) float32 local log-odds before calibration; their mean is the
            film's log-odds.
        scope_score: how unlike the validated films this one is; finite.
    """

    probability: float
    activation_map: npt.NDArray[np.float32]
    scope_score: float


class Session:
    """One network in memory. Threads may share it: runs take turns.

    Args:
        content: a `.tflite` file.
        threads: processor threads of one run.

    Raises:
        SessionError: `content` is no such file, or lacks one of the outputs.
    """

    def __init__(self, content: bytes, *, threads: int = 1) -> None:
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=threads)
            self._runner = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise SessionError(f"No runnable network: {error}") from error
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
            ValueError: the film has another shape or type.
            OutputError: an output is not finite, or the probability leaves [0, 1].
        """
        if film.shape != self.input_shape[1:] or film.dtype != np.float32:
            raise ValueError(
                f"Expected a {self.input_shape[1:]} float32 film. "
                f"Received: {film.shape} {film.dtype}."
            )
        with self._lock:
            raw: dict[str, Any] = self._runner(**{self._input_name: film[np.newaxis]})
            # The runner's arrays are the interpreter's own memory, which the next run reuses.
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
