"""Batch normalisation that fits the averaged weights."""

import json

import pytest

from tests.mlcore.commands import run_code

pytestmark = pytest.mark.xdist_group("training-loop")

CODE = """
import json
import keras
import numpy as np
from mlcore.engine.training import normalization
from mlcore.engine.training.batches import TrainingSet

rng = np.random.default_rng(0)
films = rng.integers(0, 256, (300, 8, 8), np.uint8)
shares = np.r_[np.ones(100), np.zeros(200)]
film = keras.Input((8, 8, 1))
layer = keras.layers.BatchNormalization(momentum=0.9)
network = keras.Model(film, layer(film))
found = []
for given, used in ((None, films), (shares, films[:100])):
    data = TrainingSet.of_whole(films, np.zeros(300, np.int64), given)
    normalization.refit(network, data, seed=1)
    light = used / 255
    found.append([
        float(np.asarray(layer.moving_mean)[0]), light.mean(),
        float(np.asarray(layer.moving_variance)[0]), light.var(), layer.momentum,
    ])
print(json.dumps(found))
"""


def test_statistics_are_those_of_the_films_as_often_as_they_are_drawn():
    for mean, true_mean, variance, true_variance, momentum in json.loads(run_code(CODE)):
        assert mean == pytest.approx(true_mean, abs=1e-3)
        assert variance == pytest.approx(true_variance, abs=1e-3)
        assert momentum == 0.9
