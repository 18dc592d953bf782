"""Comparing two models, checked against other libraries and known values."""

import time

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from mlcore.engine.evaluation import compare
from mlcore.engine.evaluation.compare import LabelledPrediction

HEADER = "split,pixels_sha256,label,series,probability,scope_score\n"


def sha(number: int) -> str:
    return f"{number:064x}"


def sample(n: int, *, skill: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return fixed labels and a model's probabilities, with ties."""
    labels = np.arange(n) % 4 > 0
    noise = np.random.default_rng(seed).standard_normal(n)
    return labels, np.round(1 / (1 + np.exp(-(skill * (labels - 0.5) + noise))), 2)


def films(
    labels: np.ndarray, probabilities: np.ndarray, start: int = 0
) -> dict[str, LabelledPrediction]:
    return {
        sha(start + i): LabelledPrediction(bool(label), float(p))
        for i, (label, p) in enumerate(zip(labels, probabilities, strict=True))
    }


def test_auc_difference_equals_scikit_learn():
    labels, first = sample(120, skill=1, seed=1)
    _, second = sample(120, skill=2, seed=2)
    found = compare.auc_difference(labels, first, second, resamples=60, seed=5)
    assert found.first == pytest.approx(roc_auc_score(labels, first))
    assert found.second == pytest.approx(roc_auc_score(labels, second))
    counts = compare._resampled(labels, 60, np.random.default_rng(5))
    assert (counts[:, labels].sum(axis=1) == labels.sum()).all()
    slow = [
        roc_auc_score(labels, second, sample_weight=row)
        - roc_auc_score(labels, first, sample_weight=row)
        for row in counts
    ]
    assert found.interval == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])))


def test_better_model_is_significant_and_same_model_is_not():
    labels, first = sample(600, skill=1, seed=1)
    _, second = sample(600, skill=3, seed=2)
    better = compare.auc_difference(labels, first, second)
    assert better.interval[0] > 0
    assert better.p_value == pytest.approx(2 / 2001)
    same = compare.auc_difference(labels, first, first)
    assert same.interval == (0, 0)
    assert same.p_value == 1
    turned = compare.auc_difference(labels, second, first)
    assert turned.interval == pytest.approx((-better.interval[1], -better.interval[0]))


def test_false_positive_rate_of_the_comparison():
    called = 0
    for seed in range(100):
        labels, first = sample(120, skill=1, seed=2 * seed)
        _, second = sample(120, skill=1, seed=2 * seed + 1)
        called += compare.auc_difference(labels, first, second, resamples=200).p_value < 0.05
    assert called <= 12


def test_comparison_is_reproducible_and_fast():
    labels, first = sample(600, skill=1, seed=1)
    _, second = sample(600, skill=1.1, seed=2)
    started = time.process_time()
    found = compare.auc_difference(labels, first, second, resamples=2000, seed=3)
    assert time.process_time() - started < 2
    assert found == compare.auc_difference(labels, first, second, resamples=2000, seed=3)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    # By hand: 2 * (1 + 6) / 2^6; 2 * 1 / 2^5; even and none: 1; 2 * (1 + 10 + 45) / 2^10.
    [(1, 5, 14 / 64), (0, 5, 1 / 16), (4, 4, 1), (0, 0, 1), (8, 2, 112 / 1024), (0, 1, 1)],
)
def test_mcnemar_known_values(only_first, only_second, p_value):
    first = np.array([True] * (10 + only_first) + [False] * only_second)
    second = np.array([True] * 10 + [False] * only_first + [True] * only_second)
    found = compare.mcnemar(first, second)
    assert (found.only_first, found.only_second) == (only_first, only_second)
    assert found.p_value == pytest.approx(p_value)
    assert found.difference == pytest.approx((only_second - only_first) / first.size)
    if only_first + only_second:
        peer = binomtest(only_first, only_first + only_second).pvalue
        assert found.p_value == pytest.approx(peer)


def test_mcnemar_is_exact_for_large_counts():
    first = np.array([True] * 3000 + [False] * 1500)
    assert compare.mcnemar(first, ~first).p_value == pytest.approx(
        binomtest(1500, 4500).pvalue, rel=1e-6
    )


def test_comparison_uses_shared_films_and_each_models_threshold():
    labels = np.array([0, 0, 1, 1])
    first = films(labels, np.array([0.1, 0.6, 0.7, 0.4])) | films(np.ones(1), np.ones(1), 50)
    second = films(labels, np.array([0.1, 0.6, 0.7, 0.4])) | films(np.ones(1), np.ones(1), 90)
    found = compare.compare(first, second, thresholds=(0.5, 0.65), resamples=50)
    assert (found.n, found.sick) == (4, 2)
    assert found.auc.difference == 0
    assert (found.specificity.first, found.specificity.second) == (0.5, 1.0)
    assert (found.sensitivity.first, found.sensitivity.second) == (0.5, 0.5)
    assert (found.accuracy.only_first, found.accuracy.only_second) == (0, 1)


def test_comparison_needs_shared_films_of_both_labels():
    labels, p = np.array([0, 1]), np.array([0.1, 0.9])
    for other in (films(labels, p, 50), films(labels[:1], p[:1])):
        with pytest.raises(compare.NothingInCommonError):
            compare.compare(films(labels, p), other, thresholds=(0.5, 0.5))
    with pytest.raises(ValueError, match="different labels"):
        compare.compare(films(labels, p), films(1 - labels, p), thresholds=(0.5, 0.5))


def test_predictions_are_read_by_split_without_duplicates():
    rows = [
        f"validation,{sha(1)},NORMAL,IM,0.2,0.5",
        f"test,{sha(2)},NORMAL,,0.25,",
        f"test,{sha(3)},PNEUMONIA,virus,1.00000000,-3.5",
        f"test,{sha(3)},PNEUMONIA,virus,1.00000000,-3.5",
    ]
    content = (HEADER + "\n".join(rows) + "\n").encode()
    assert compare.read_predictions(content) == {
        sha(2): LabelledPrediction(False, 0.25),
        sha(3): LabelledPrediction(True, 1.0),
    }
    assert set(compare.read_predictions(content, split="validation")) == {sha(1)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "header"),
        (b"split,label\n", "header"),
        (b"\xff\xfe", "Invalid CSV"),
        (f"{HEADER}train,{sha(1)},NORMAL,,0.5,0\n", "unknown split"),
        (f"{HEADER}test,{sha(1)},TB,,0.5,0\n", "unknown split or label"),
        (f"{HEADER}test,film.jpeg,NORMAL,,0.5,0\n", "invalid SHA-256"),
        (f"{HEADER}test,{sha(1)},NORMAL,,much,0\n", "could not convert"),
        (f"{HEADER}test,{sha(1)},NORMAL,,1.2,0\n", "out of range"),
        (f"{HEADER}test,{sha(1)},NORMAL,,nan,0\n", "out of range"),
        (f"{HEADER}test,{sha(1)},NORMAL,,0.5,inf\n", "out of range"),
        (f"{HEADER}test,{sha(1)},NORMAL\n", "6 values"),
        (f"{HEADER}test,{sha(1)},NORMAL,,0.5,0,0\n", "6 values"),
        (f"{HEADER}test,{sha(1)},NORMAL,,0,0\ntest,{sha(1)},PNEUMONIA,,0,0\n", "two labels"),
    ],
)
def test_invalid_predictions_are_refused(content, message):
    content = content.encode() if isinstance(content, str) else content
    with pytest.raises(compare.PredictionsError, match=message):
        compare.read_predictions(content)
