"""LiteRT sessions that run the networks of a bundle. Imports neither TensorFlow nor Keras."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter


class SessionError(RuntimeError):
    """Raised when a `.tflite` file cannot be run."""


class OutputError(RuntimeError):
    """Raised when an output of the network is invalid."""


class Session:
    """A network in memory. Thread-safe: runs are serialised.

    Args:
        content: the content of a `.tflite` file.
        outputs: the names of the outputs that it must have.
        threads: CPU threads per run.

    Raises:
        SessionError: the file is invalid or lacks an output.
    """

    def __init__(self, content: bytes, *, outputs: Sequence[str], threads: int = 1) -> None:
        try:
            self._interpreter = Interpreter(model_content=content, num_threads=threads)
            self._runner = self._interpreter.get_signature_runner()
        except (ValueError, RuntimeError) as error:
            raise SessionError(f"The network cannot be loaded: {error}") from error
        missing = set(outputs) - set(self._runner.get_output_details())
        if missing:
            raise SessionError(f"The network lacks the outputs {', '.join(sorted(missing))}.")
        self.outputs = tuple(outputs)
        (self._input_name, details), *_ = self._runner.get_input_details().items()
        self.input_shape: tuple[int, ...] = tuple(int(side) for side in details["shape"])
        self._lock = threading.Lock()

    def run(self, film: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """Run the network on one prepared film and return its outputs by name.

        Args:
            film: (size, size, 1) float32 in [0, 1], from `preprocess.as_input`.

        Raises:
            ValueError: the film has the wrong shape or type.
            OutputError: an output is not finite.
        """
        if film.shape != self.input_shape[1:] or film.dtype != np.float32:
            raise ValueError(
                f"Expected a {self.input_shape[1:]} float32 film. "
                f"Received: {film.shape} {film.dtype}."
            )
        with self._lock:
            raw: dict[str, Any] = self._runner(**{self._input_name: film[np.newaxis]})
            # Copied, because the interpreter reuses the memory of these arrays in the next run.
            values = {name: np.array(raw[name], np.float32) for name in self.outputs}
        for name, value in values.items():
            if not np.isfinite(value).all():
                raise OutputError(f"{name} is not finite")
        return values
