import numpy as np
import pytest

from mlcore.engine import calibration, metrics


def overconfident(seed: int, temperature: float, n: int = 4000):
    """Films whose true log-odds are `logits / temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, n) * temperature
    labels = (rng.random(n) < calibration.sigmoid(logits / temperature)).astype(int)
    return labels, logits


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_made_the_films_is_found(temperature):
    labels, logits = overconfident(1, temperature)
    found = calibration.fit_temperature(labels, logits)
    assert found == pytest.approx(temperature, rel=0.1)
    assert metrics.ece(labels, calibration.sigmoid(logits / found)) < 0.03


def test_films_told_apart_perfectly_give_the_bound():
    labels = np.array([0, 0, 1, 1])
    assert calibration.fit_temperature(labels, np.array([-2.0, -1, 1, 2])) == pytest.approx(
        0.05, rel=0.01
    )


def test_one_class_is_refused():
    with pytest.raises(ValueError, match="both classes"):
        calibration.fit_temperature([1, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="both classes"):
        calibration.choose_threshold([1, 1], [0.1, 0.2])


def test_the_threshold_lies_between_the_classes():
    labels = np.array([0, 0, 1, 1])
    logits = np.array([-3.0, -1.0, 2.0, 4.0])
    assert calibration.best_balanced_threshold(labels, logits) == pytest.approx(0.5)


def test_one_film_does_not_move_the_threshold_far():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    logits = rng.normal(np.where(labels, 2.0, -2.0), 1.0)
    before = calibration.choose_threshold(labels, logits, seed=1)
    logits[0] = 9.0
    assert calibration.choose_threshold(labels, logits, seed=1) == pytest.approx(before, abs=0.3)


def test_sigmoid_has_no_overflow():
    np.testing.assert_allclose(calibration.sigmoid([-1e4, 0, 1e4]), [0, 0.5, 1])
