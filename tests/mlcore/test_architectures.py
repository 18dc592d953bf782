"""The networks: resolution and exactness of their maps, and compatibility with old bundles."""

import json
import os
from typing import Any

import pytest
from django.conf import settings

from mlcore import registry
from tests import processes

pytestmark = pytest.mark.xdist_group("architectures")

MEASURE = """
import json, sys
import keras, numpy as np, tensorflow as tf
from mlcore.engine.training import architectures
from tests.mlcore.activation_maps import grad_cam

def gradient_of_the_logit(network, film):
    evidence, logit = network.get_layer("evidence"), network.get_layer("logit")
    features = tf.Variable(keras.Model(network.input, evidence.input)(film))
    with tf.GradientTape() as tape:
        answer = logit(evidence(features))
    return features.numpy()[0], tape.gradient(answer, features).numpy()[0], evidence.get_weights()

found = {}
for name in sys.argv[1:]:
    keras.utils.set_random_seed(1)
    network = architectures.build(name, size=128)
    film = keras.random.uniform((1, 128, 128, 1), seed=2)
    answer = {key: np.asarray(value) for key, value in network(film).items()}
    features, gradient, (kernel, bias) = gradient_of_the_logit(network, film)
    cells = answer["evidence"].shape[1:3]
    camera = len(gradient) ** 2 * grad_cam(features, gradient) + bias
    found[name] = {
        "cells": cells,
        "smallest": architectures.build(name, size=32).output["evidence"].shape[1:3],
        "mean_less_logit": float(abs(answer["evidence"].mean() - answer["logit"][0, 0])),
        "map_less_grad_cam": float(np.abs(answer["evidence"][0, ..., 0] - camera).max()),
        "spread": float(answer["evidence"].std()),
    }
print(json.dumps(found))
"""

AS_BUILT = """
import sys
from pathlib import Path
import keras, numpy as np
from mlcore.engine.training import architectures
stored = architectures.members_of(architectures.read(Path(sys.argv[1]) / "model.keras"))[0]
fresh = architectures.build(sys.argv[2], size=stored.input.shape[1])
assert [layer.name for layer in fresh.layers] == [layer.name for layer in stored.layers]
fresh.set_weights(stored.get_weights())
film = keras.random.uniform((1, *stored.input.shape[1:]), seed=3)
theirs, ours = stored(film), fresh(film)
print(max(float(np.abs(np.asarray(theirs[key]) - np.asarray(ours[key])).max()) for key in ours))
"""


def run(code: str, *arguments: object) -> str:
    """Run code that needs Keras in a separate process; return the last line it prints."""
    ended = processes.run(["-c", code, *arguments], env=os.environ | processes.QUIET, timeout=120)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(MEASURE, "resnet_small"))["resnet_small"]
    return found


def test_the_map_has_a_cell_for_each_16_pixels(measured):
    assert measured["cells"] == [8, 8]
    assert measured["smallest"] == [2, 2]


def test_the_map_explains_the_answer_exactly(measured):
    """The mean is the film's log-odds, and the map is Grad-CAM of the last features up to scale."""
    found = measured
    assert found["spread"] > 0.01  # not a flat map, for which both would be trivially true
    assert found["mean_less_logit"] < 1e-5
    assert found["map_less_grad_cam"] < 1e-4


def test_the_code_still_builds_the_network_of_the_shipped_bundle():
    folder = registry.folder_of(settings.SHIPPED_MODEL)
    assert float(run(AS_BUILT, folder, "resnet_small")) == 0
