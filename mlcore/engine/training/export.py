"""Export of a trained network for serving: calibration, scope gate and LiteRT file.

Importing this module imports Keras, and TensorFlow with it.
"""

import tempfile
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from mlcore.engine.serving.bundle import LUNGS_TFLITE, TFLITE
from mlcore.engine.training.calibration import Calibration
from mlcore.engine.training.scope import Gate


def serving_networks(
    model: keras.Model, *, calibration: Calibration, gate: Gate, finder: keras.Model | None
) -> dict[str, keras.Model]:
    """Return the networks for serving by the name of their file.

    `model.tflite` maps a film to probability (b, 1), activation_map (b, h, w, 1) and scope_score
    (b, 1). With a finder, that film is the box around the lungs, and `lungs.tflite` maps the whole
    film to lungs (b, size / 2, size / 2, 1), the probability of lung, and a scope_score of its own.
    """
    far = gate.distance_in_graph(model.output["descriptor"])
    outputs = {
        "probability": layers.Activation("sigmoid", name="probability")(
            layers.Rescaling(
                1 / calibration.temperature, offset=calibration.bias, name="calibration"
            )(model.output["logit"])
        ),
        "activation_map": model.output["evidence"],
    }
    if finder is None:
        outside = gate.classifier_in_graph(gate.classifier(model.input))
        outputs["scope_score"] = layers.Maximum(name="scope_score")([far, outside])
        return {TFLITE: keras.Model(model.input, outputs, name="serving")}
    outputs["scope_score"] = layers.Identity(name="scope_score")(far)
    classifier = gate.classifier
    whole = {
        "lungs": classifier.get_layer("lungs_found").output,
        "scope_score": layers.Identity(name="whole_scope_score")(
            gate.classifier_in_graph(classifier.output)
        ),
    }
    return {
        TFLITE: keras.Model(model.input, outputs, name="serving"),
        LUNGS_TFLITE: keras.Model(classifier.input, whole, name="lungs"),
    }


class KerasNetwork:
    """A serving network in Keras that runs like `runtime.Session`."""

    def __init__(self, network: keras.Model) -> None:
        self.network = network
        self.input_shape: tuple[int, ...] = (1, *network.input.shape[1:])

    def run(self, film: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """Run the network on one prepared film and return its outputs by name."""
        outputs = self.network.predict_on_batch(film[np.newaxis])
        return {name: np.asarray(value, np.float32) for name, value in outputs.items()}


def to_litert(network: keras.Model) -> bytes:
    """Return the content of the `.tflite` file of a serving network, for batches of one film."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        network.export(path, format="litert", verbose=False)
        return path.read_bytes()


def to_keras_file(model: keras.Model) -> bytes:
    """Return the content of the `.keras` file of a trained network."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        return path.read_bytes()
