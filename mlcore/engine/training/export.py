"""Export of a trained network for serving: calibration, scope gate and LiteRT file.

Importing this module imports Keras, and TensorFlow with it.
"""

import tempfile
from pathlib import Path

import keras
from keras import layers

from mlcore.engine.training.calibration import Calibration
from mlcore.engine.training.scope import Gate


def serving_network(model: keras.Model, *, calibration: Calibration, gate: Gate) -> keras.Model:
    """Return the network for serving.

    It maps a film to probability (b, 1), activation_map (b, h, w, 1) and scope_score (b, 1).
    """
    outputs = {
        "probability": layers.Activation("sigmoid", name="probability")(
            layers.Rescaling(
                1 / calibration.temperature, offset=calibration.bias, name="calibration"
            )(model.output["logit"])
        ),
        "activation_map": model.output["evidence"],
        "scope_score": gate.in_graph(model.input, model.output["descriptor"]),
    }
    return keras.Model(model.input, outputs, name="serving")


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
