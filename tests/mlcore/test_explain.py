import io

import numpy as np
import pytest
from PIL import Image

from mlcore.engine.serving import explain
from tests.mlcore.activation_maps import class_activation_map


def test_mean_of_the_map_is_the_log_odds():
    rng = np.random.default_rng(0)
    features, weights = rng.random((14, 14, 8)), rng.normal(size=8)
    evidence = class_activation_map(features, weights, bias=-0.7)
    assert evidence.mean() == pytest.approx(features.mean(axis=(0, 1)) @ weights - 0.7)


@pytest.fixture
def reference():
    """Normal films whose cells have different levels, and the reference fitted to them."""
    rng = np.random.default_rng(0)
    levels = np.linspace(-6, 3, 14 * 14).reshape(14, 14)
    return levels, explain.Reference.fit(levels + rng.normal(0, 1, (200, 14, 14)))


def test_normal_film_has_an_empty_map(reference):
    levels, fitted = reference
    shown = fitted.local_evidence(levels)
    assert shown.max() == 0
    assert shown.dtype == np.float32


def test_excess_evidence_is_shown_at_its_place(reference):
    levels, fitted = reference
    raised = levels.copy()
    raised[5, 6] += 8
    shown = fitted.local_evidence(raised)
    assert shown[5, 6] == 1
    assert np.delete(shown.ravel(), 5 * 14 + 6).max() == 0


def test_reference_round_trip(reference):
    levels, fitted = reference
    again = explain.Reference.from_card(fitted.to_card())
    np.testing.assert_allclose(
        again.local_evidence(levels + 3), fitted.local_evidence(levels + 3), atol=1e-3
    )


def test_heatmap_opacity_follows_the_map():
    def opacity(value: float) -> int:
        picture = Image.open(io.BytesIO(explain.render_heatmap(np.full((14, 14), value), 90, 60)))
        assert picture.size == (90, 60)
        return picture.getchannel("A").getextrema()[1]

    assert opacity(0.05) == 0
    assert opacity(0.95) > 200


def test_heatmap_is_strongest_where_the_evidence_is():
    values = np.zeros((14, 14))
    values[3, 10] = 1.0
    picture = Image.open(io.BytesIO(explain.render_heatmap(values, 140, 140)))
    opacity = np.asarray(picture.getchannel("A"))
    row, column = np.unravel_index(opacity.argmax(), opacity.shape)
    assert abs(row - 35) <= 6
    assert abs(column - 105) <= 6


def test_activation_map_round_trip():
    values = np.random.default_rng(0).random((14, 14))
    stored = explain.encode_activation_map(values)
    assert len(stored) < 1000
    assert np.abs(explain.decode_activation_map(stored) - values).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("bad", [np.ones(3), np.full((2, 2), 1.5), np.full((2, 2), np.nan)])
def test_invalid_map_is_refused(bad):
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        explain.encode_activation_map(bad)
