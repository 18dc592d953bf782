import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mlcore.engine import metrics
from mlcore.engine.training import calibration


def overconfident(seed: int, temperature: float, bias: float, n: int = 4000):
    """Return labels and logits whose true log-odds are `logits / temperature + bias`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, n) * temperature
    labels = (rng.random(n) < calibration.sigmoid(logits / temperature + bias)).astype(int)
    return labels, logits


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("bias", [-1.0, 0.0, 2.0])
def test_fit_recovers_temperature_and_bias(temperature, bias):
    labels, logits = overconfident(1, temperature, bias)
    found = calibration.fit(labels, logits)
    assert found.temperature == pytest.approx(temperature, rel=0.1)
    assert found.bias == pytest.approx(bias, abs=0.15)
    assert metrics.ece(labels, found.probabilities(logits)) < 0.03


def test_fit_equals_logistic_regression():
    labels, logits = overconfident(2, 2.0, 0.5)
    oracle = LogisticRegression(C=1e6).fit(logits[:, np.newaxis], labels)
    found = calibration.fit(labels, logits)
    assert 1 / found.temperature == pytest.approx(oracle.coef_[0, 0], rel=1e-3)
    assert found.bias == pytest.approx(oracle.intercept_[0], abs=1e-3)


def test_separable_data_has_a_finite_calibration():
    found = calibration.fit(np.array([0, 0, 1, 1]), np.array([-2.0, -1, 1, 2]))
    assert 0 < found.temperature < 1
    assert np.isfinite(found.bias)


def test_inverted_logits_are_refused():
    labels, logits = overconfident(3, 1.0, 0.0)
    with pytest.raises(ValueError, match="learned nothing"):
        calibration.fit(labels, -logits)


def test_single_class_is_refused():
    with pytest.raises(ValueError, match="both classes"):
        calibration.fit([1, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="both classes"):
        calibration.choose_threshold([1, 1], [0.1, 0.2])


def test_threshold_is_between_the_classes():
    labels = np.array([0, 0, 1, 1])
    logits = np.array([-3.0, -1.0, 2.0, 4.0])
    assert calibration.best_balanced_threshold(labels, logits) == pytest.approx(0.5)


def test_threshold_is_robust_to_one_film():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    logits = rng.normal(np.where(labels, 2.0, -2.0), 1.0)
    before = calibration.choose_threshold(labels, logits, seed=1)
    logits[0] = 9.0
    assert calibration.choose_threshold(labels, logits, seed=1) == pytest.approx(before, abs=0.3)


def test_sigmoid_does_not_overflow():
    np.testing.assert_allclose(calibration.sigmoid([-1e4, 0, 1e4]), [0, 0.5, 1])
