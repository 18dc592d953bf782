"""Metrics, checked against scikit-learn and known values."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from mlcore.engine import metrics
from mlcore.engine.metrics import UndefinedMetricWarning


def sample(seed: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    # Rounded, so that there are ties.
    return labels, np.round(np.clip(rng.normal(0.35 + 0.3 * labels, 0.2), 0, 1), 2)


@pytest.mark.parametrize("seed", range(5))
def test_auc_brier_and_roc_equal_scikit_learn(seed):
    labels, scores = sample(seed)
    assert metrics.auc(labels, scores) == pytest.approx(oracle.roc_auc_score(labels, scores))
    assert metrics.brier(labels, scores) == pytest.approx(oracle.brier_score_loss(labels, scores))
    ours = metrics.roc(labels, scores)
    theirs = oracle.roc_curve(labels, scores, drop_intermediate=False)
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, other)


@pytest.mark.parametrize("seed", range(3))
def test_auc_interval_agrees_with_the_bootstrap(seed):
    labels, scores = sample(seed, n=600)
    low, high = metrics.auc_interval(labels, scores)
    rough_low, rough_high = metrics.bootstrap_interval(metrics.auc, labels, scores, resamples=800)
    assert low == pytest.approx(rough_low, abs=0.012)
    assert high == pytest.approx(rough_high, abs=0.012)


def test_perfect_auc_has_an_interval():
    labels = np.array([0] * 50 + [1] * 100)
    assert metrics.auc_interval(labels, labels.astype(float)) == (pytest.approx(0.94), 1.0)


def test_wilson_known_values():
    low, high = metrics.wilson_interval(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert metrics.wilson_interval(0, 10)[0] == 0
    assert all(math.isnan(bound) for bound in metrics.wilson_interval(0, 0))


def test_ece_known_value():
    labels = np.array([0, 1, 1, 1])
    probabilities = np.array([0.1, 0.1, 0.9, 0.9])
    # Two bins of two films: |0.1 - 0.5| and |0.9 - 1|, each with weight one half.
    assert metrics.ece(labels, probabilities) == pytest.approx(0.25)


def test_confusion_and_rates_at_the_threshold():
    labels = np.array([0, 0, 0, 1, 1])
    probabilities = np.array([0.1, 0.5, 0.2, 0.5, 0.4])
    figures = metrics.evaluate(labels, probabilities, threshold=0.5)
    assert figures["confusion"] == {"tp": 1, "fp": 1, "tn": 2, "fn": 1}
    assert figures["accuracy"] == pytest.approx(3 / 5)
    assert figures["sensitivity"] == pytest.approx(1 / 2)
    assert figures["specificity"] == pytest.approx(2 / 3)
    assert figures["ppv"] == pytest.approx(1 / 2)
    assert figures["npv"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("value", [0, 1])
def test_single_class_gives_nan_with_a_warning(value):
    labels = np.full(5, value)
    with pytest.warns(UndefinedMetricWarning, match="AUC is undefined"):
        assert math.isnan(metrics.auc(labels, np.linspace(0, 1, 5)))


def test_invalid_labels_and_scores_are_refused():
    with pytest.raises(ValueError, match="Labels must be 0 or 1"):
        metrics.auc(np.array([0, 2]), np.array([0.1, 0.2]))
    with pytest.raises(ValueError, match="finite"):
        metrics.auc(np.array([0, 1]), np.array([0.1, np.nan]))
    with pytest.raises(ValueError, match="equal length"):
        metrics.auc(np.array([0, 1]), np.array([0.1]))


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=40),
    st.floats(0, 1),
)
def test_metrics_are_within_bounds_or_undefined(films, threshold):
    labels, probabilities = (np.array(column) for column in zip(*films, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        figures = metrics.evaluate(labels, probabilities, threshold=threshold)
    assert sum(figures["confusion"].values()) == len(films)
    called = probabilities >= threshold
    # The denominator of each metric; without it the metric is undefined.
    counted = {
        "auc": min(labels.sum(), (1 - labels).sum()),
        "accuracy": len(films),
        "sensitivity": labels.sum(),
        "specificity": (1 - labels).sum(),
        "ppv": called.sum(),
        "npv": (~called).sum(),
        "brier": len(films),
        "ece": len(films),
    }
    for name, n in counted.items():
        if n:
            assert 0 <= figures[name] <= 1, name
        else:
            assert math.isnan(figures[name]), name
