import io

import numpy as np
import pytest
from PIL import Image

from mlcore.engine.serving import explain


def test_the_mean_of_the_map_is_the_films_log_odds():
    rng = np.random.default_rng(0)
    features, weights = rng.random((14, 14, 8)), rng.normal(size=8)
    evidence = explain.class_activation_map(features, weights, bias=-0.7)
    assert evidence.mean() == pytest.approx(features.mean(axis=(0, 1)) @ weights - 0.7)


@pytest.fixture
def reference():
    """Films without pneumonia, with a different level in each cell."""
    rng = np.random.default_rng(0)
    levels = np.linspace(-6, 3, 14 * 14).reshape(14, 14)
    return levels, explain.Reference.fit(levels + rng.normal(0, 1, (200, 14, 14)))


def test_a_film_like_the_reference_stays_clear(reference):
    levels, fitted = reference
    shown = fitted.local_evidence(levels)
    assert shown.max() == 0
    assert shown.dtype == np.float32


def test_evidence_above_the_reference_is_shown_in_place(reference):
    levels, fitted = reference
    raised = levels.copy()
    raised[5, 6] += 8
    shown = fitted.local_evidence(raised)
    assert shown[5, 6] == 1
    assert np.delete(shown.ravel(), 5 * 14 + 6).max() == 0


def test_a_reference_comes_back_from_its_card(reference):
    levels, fitted = reference
    again = explain.Reference.from_card(fitted.to_card())
    np.testing.assert_allclose(
        again.local_evidence(levels + 3), fitted.local_evidence(levels + 3), atol=1e-3
    )


def test_a_cold_map_draws_nothing_and_a_hot_one_does():
    def opacity(value: float) -> int:
        picture = Image.open(io.BytesIO(explain.render_heatmap(np.full((14, 14), value), 90, 60)))
        assert picture.size == (90, 60)
        return picture.getchannel("A").getextrema()[1]

    assert opacity(0.05) == 0
    assert opacity(0.95) > 200


def test_the_hottest_area_is_where_the_evidence_is():
    values = np.zeros((14, 14))
    values[3, 10] = 1.0
    picture = Image.open(io.BytesIO(explain.render_heatmap(values, 140, 140)))
    opacity = np.asarray(picture.getchannel("A"))
    row, column = np.unravel_index(opacity.argmax(), opacity.shape)
    assert abs(row - 35) <= 6
    assert abs(column - 105) <= 6


def test_a_stored_map_is_restored_unchanged():
    values = np.random.default_rng(0).random((14, 14))
    stored = explain.encode_activation_map(values)
    assert len(stored) < 1000
    assert np.abs(explain.decode_activation_map(stored) - values).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("bad", [np.ones(3), np.full((2, 2), 1.5), np.full((2, 2), np.nan)])
def test_an_invalid_map_is_refused(bad):
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        explain.encode_activation_map(bad)
