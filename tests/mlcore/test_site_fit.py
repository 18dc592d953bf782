"""Fitting limits to a site, and the number of films that an interval needs."""

import math

import numpy as np
import pytest

from mlcore.engine import metrics
from mlcore.engine.evaluation import sample_size, site_films
from mlcore.engine.serving.calibration import Calibration, film_log_odds
from mlcore.engine.training import site
from tests.mlcore.site_data import site_films as drawn


@pytest.mark.parametrize("share", [0.0, 0.5, 0.83, 0.95, 1.0])
@pytest.mark.parametrize("half_width", [0.02, 0.05, 0.1])
def test_wilson_is_the_smallest_number_that_is_enough(share, half_width):
    n = sample_size.wilson(share, half_width)

    def width(films: int) -> float:
        # Wilson's interval before it is cut off at 0 and 1.
        z = metrics.Z_95
        spread = share * (1 - share) / films + z * z / (4 * films * films)
        return z / (1 + z * z / films) * math.sqrt(spread)

    assert width(n) <= half_width < width(n - 1)


def test_sample_sizes_of_textbooks():
    assert sample_size.normal(0.5, 0.05) == 385
    assert sample_size.normal(0.9, 0.05) == 139
    assert sample_size.normal(1.0, 0.05) is None
    interval = metrics.wilson_interval(95, 100)
    found = sample_size.needed(0.95, interval, 0.05)
    assert found == {"half_width": 0.05, "wilson": 83, "normal": 73,
                     "cautious": sample_size.wilson(interval[0], 0.05)}  # fmt: skip
    assert sample_size.needed(math.nan, metrics.NAN_INTERVAL, 0.05) is None
    with pytest.raises(ValueError, match=r"between 0 and 0\.5"):
        sample_size.wilson(0.9, 0.5)


def test_a_miscalibrated_model_is_calibrated_to_the_site():
    films = drawn(400, shift=3)
    before = metrics.ece(films.labels, films.probabilities)
    found = site.cross_fit(films).figures(scope_limit=1.0)
    assert before > 0.2
    assert found["ece"] < 0.05
    assert found["auc"] == metrics.auc(films.labels, films.logits)
    assert found["specificity"] > 0.85 < found["sensitivity"]


def test_each_label_is_rarely_called_the_other_one_on_new_films():
    limits = site.fit(*(getattr(drawn(400, seed=1), name) for name in ("labels", "logits")))
    new = drawn(4000, seed=2)
    results = limits.rule.results_of(limits.calibration.probabilities(new.logits))
    for label, other in ((0, "PNEUMONIA"), (1, "NORMAL")):
        assert (results[new.labels == label] == other).mean() < 0.035


def test_a_film_is_judged_without_its_patient():
    films = drawn(60, per_patient=3, seed=3)
    fitted = site.cross_fit(films)
    by_patient: dict[str, set[int]] = {}
    for record, fold in zip(films.records, fitted.fold.tolist(), strict=True):
        by_patient.setdefault(record.patient, set()).add(fold)
    assert all(len(folds) == 1 for folds in by_patient.values())
    for number, limits in enumerate(fitted.by_fold):
        rest = fitted.fold != number
        again = site.fit(films.labels[rest], films.logits[rest])
        assert again == limits


def test_cross_fitted_results_are_those_of_each_folds_rule():
    films = drawn(70, seed=4, gap=2)
    fitted = site.cross_fit(films)
    found = fitted.figures(scope_limit=1.0)
    results = np.array(
        [
            fitted.by_fold[fold].rule.result(p)
            for fold, p in zip(fitted.fold.tolist(), fitted.probabilities, strict=True)
        ]
    )
    called = found["decision"]["called"]
    for label, name in enumerate(("NORMAL", "PNEUMONIA")):
        for result, row in called[name].items():
            assert row["count"] == int((results[films.labels == label] == result).sum())
    assert found["unsure_rate"] == pytest.approx((results == "UNSURE").mean())
    thresholds = np.array([limits.threshold for limits in fitted.by_fold])[fitted.fold]
    right = (fitted.probabilities >= thresholds) == (films.labels == 1)
    assert found["accuracy"] == pytest.approx(right.mean())


def test_too_few_films_are_refused_with_the_number_that_is_needed():
    assert site.films_per_label() == 49
    with pytest.raises(site.CannotFitError, match=r"at least 49 films of each.*NORMAL 48"):
        site.cross_fit(drawn(48))
    with pytest.raises(site.CannotFitError, match="Collect about 62 films"):
        site.cross_fit(drawn(49))
    assert site.cross_fit(drawn(55)).folds == 10
    assert site.cross_fit(drawn(62)).folds == 5


def test_log_odds_that_contradict_the_labels_are_refused():
    with pytest.raises(site.CannotFitError, match="learned nothing"):
        site.cross_fit(drawn(80, gap=-4))


def test_a_map_that_does_not_add_up_is_refused():
    films = drawn(5)
    card = {"name": "odd", "calibration": {"temperature": 1.0, "bias": 0.0}}
    site.check_map(films, card)
    card["calibration"]["bias"] = 0.1
    with pytest.raises(site.CannotFitError, match="does not add up"):
        site.check_map(films, card)


def test_the_mean_of_the_map_is_the_films_log_odds():
    evidence = np.array([[1.0, 2.0], [3.0, -2.0]], np.float32)
    assert film_log_odds(evidence) == 1.0
    card = {"calibration": {"temperature": 2.0, "bias": 1.0}}
    assert Calibration.outside_network(card) is None
    card["calibration"]["network"] = {"temperature": 1.0, "bias": 0.0}
    assert Calibration.outside_network(card) == Calibration(2.0, 1.0)
    assert site.network_calibration(card) == Calibration(1.0, 0.0)


def test_films_needed_names_the_label():
    needed = site_films.films_needed(
        {"sensitivity": 0.9, "sensitivity_ci": [0.8, 0.95], "specificity": math.nan,
         "specificity_ci": [math.nan, math.nan]}, 0.05,
    )  # fmt: skip
    assert needed["sensitivity"]["label"] == "PNEUMONIA"
    assert needed["specificity"] is None
