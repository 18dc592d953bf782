"""The rule of decision, its figures, and how its numbers are shown."""

import json
import math
import re
import shutil

import numpy as np
import pytest
from django.conf import settings
from django.core.management import call_command
from django.utils import translation

from mlcore import inference, registry
from mlcore.cards.shown import rule_sentence, shown_limits, shown_probability
from mlcore.engine import metrics
from mlcore.engine.evaluation import outcomes
from mlcore.engine.serving.decision import DecisionRule
from tests.films import encode, synthetic_film

SHIPPED = registry.folder_of(settings.SHIPPED_MODEL)
RULE = DecisionRule(0.4, 0.8)


def shipped(split: str) -> dict:
    content = (SHIPPED / "predictions.csv").read_bytes()
    card = json.loads((SHIPPED / "card.json").read_text())
    found = outcomes.of_predictions(content, split=split, card=card)
    assert found is not None
    return found


def counts(decision: dict, label: str) -> dict[str, int]:
    return {result: row["count"] for result, row in decision["called"][label].items()}


class TestRule:
    def test_one_film_and_many_get_the_same_results(self):
        p = [0.0, 0.399, 0.4, 0.799, 0.8, 1.0]
        expected = ["NORMAL", "NORMAL", "UNSURE", "UNSURE", "PNEUMONIA", "PNEUMONIA"]
        assert [RULE.result(value) for value in p] == expected
        assert RULE.results_of(p).tolist() == expected

    def test_the_ranking_threshold_decides_nothing(self):
        """Also outside the band, where it used to decide."""
        card = {
            "labels": ["NORMAL", "PNEUMONIA"],
            "threshold": {"value": 0.95},
            "conformal": {"coverage": 0.98, "lower": 0.4, "upper": 0.8},
            "scope": {"threshold": 1.0},
            "population": {"age_years": [1, 5], "modality": [], "view": [], "body_part": []},
        }
        label, _ = inference.decide(
            card,
            probabilities={"NORMAL": 0.1, "PNEUMONIA": 0.9},
            scope_score=0.0,
            stated=inference.Stated(),
        )
        assert label == "PNEUMONIA"

    def test_limits_the_wrong_way_round_are_refused(self):
        card = {"labels": ["NORMAL", "PNEUMONIA"], "threshold": {"value": 0.5}}
        assert DecisionRule.of(card) == DecisionRule(0.5, 0.5)
        with pytest.raises(ValueError, match=r"0\.8 and 0\.4"):
            DecisionRule.of(card | {"conformal": {"lower": 0.8, "upper": 0.4}})


class TestFigures:
    def test_shares_of_the_shipped_model(self):
        test = shipped("test")
        assert test["n"] == 527
        expected = {"PNEUMONIA": 359, "UNSURE": 23, "NORMAL": 10}
        assert counts(test["decision"], "PNEUMONIA") == expected
        expected = {"PNEUMONIA": 1, "UNSURE": 6, "NORMAL": 128}
        assert counts(test["decision"], "NORMAL") == expected
        shown = test["decision"]["shown"]
        assert shown["NORMAL"]["OUT_OF_SCOPE"]["count"] == 6
        assert sum(row["count"] for row in shown["NORMAL"].values()) == 135
        row = test["decision"]["called"]["NORMAL"]["PNEUMONIA"]
        assert row["ci"] == list(metrics.wilson_interval(1, 135))

    def test_they_agree_with_the_card(self):
        """The card's own unsure rate and coverage count the same films."""
        card = json.loads((SHIPPED / "card.json").read_text())
        for split in ("validation", "test"):
            decision, figures = shipped(split)["decision"], card["metrics"][split]
            n = figures["n"]
            unsure = sum(row["UNSURE"]["count"] for row in decision["called"].values())
            wrong = (
                decision["called"]["PNEUMONIA"]["NORMAL"]["count"]
                + decision["called"]["NORMAL"]["PNEUMONIA"]["count"]
            )
            assert unsure / n == pytest.approx(figures["unsure_rate"])
            assert 1 - wrong / n == pytest.approx(figures["coverage"])

    def test_out_of_scope_is_unknown_where_a_film_has_no_score(self):
        assert shipped("validation")["decision"]["shown"] is None

    def test_series_with_both_labels_are_left_out(self):
        found = outcomes.outcomes(
            [0, 1, 1], [0.1, 0.9, 0.5], rule=RULE, series=["a", "a", "b"], prevalences=()
        )
        assert found["by_series"]["b"]["called"]["UNSURE"]["count"] == 1
        assert "a" not in found["by_series"]

    def test_a_set_is_identified_by_its_films_not_their_order(self):
        films = [("a" * 64, "NORMAL"), ("b" * 64, "PNEUMONIA")]
        assert outcomes.films_sha256(films) == outcomes.films_sha256(films[::-1])
        assert outcomes.films_sha256(films) != outcomes.films_sha256(films[:1])
        assert outcomes.films_sha256(films) != outcomes.films_sha256(
            [films[0], ("b" * 64, "NORMAL")]
        )


class TestPredictiveValues:
    def test_bayes(self):
        value, _ = metrics.predictive_value((90, 100), (5, 100), 0.2)
        assert value == pytest.approx(0.2 * 0.9 / (0.2 * 0.9 + 0.8 * 0.05))

    @pytest.mark.parametrize(
        ("hits", "errors"), [(0.95, 0.02), (0.6, 0.15), (0.97, 0.002), (0.02, 0.9)]
    )
    def test_the_interval_covers_the_truth(self, hits, errors):
        rng = np.random.default_rng(5)
        truth = 0.2 * hits / (0.2 * hits + 0.8 * errors)
        inside = 0
        for _ in range(600):
            true, false = int(rng.binomial(390, hits)), int(rng.binomial(135, errors))
            low, high = metrics.predictive_value((true, 390), (false, 135), 0.2)[1]
            inside += low <= truth <= high
        assert 0.92 <= inside / 600 <= 1

    def test_no_false_call_still_has_an_interval_with_the_value_in_it(self):
        value, (low, high) = metrics.predictive_value((195, 195), (0, 123), 0.05)
        assert value == 1.0
        assert 0.6 < low < high == 1.0

    def test_nothing_called_is_undefined(self):
        with pytest.warns(metrics.UndefinedMetricWarning):
            value, interval = metrics.predictive_value((0, 10), (0, 10), 0.2)
        assert math.isnan(value)
        assert all(math.isnan(end) for end in interval)

    @pytest.mark.parametrize("prevalence", [0, 1, -0.1, 1.5])
    def test_an_impossible_prevalence_is_refused(self, prevalence):
        with pytest.raises(ValueError, match="between 0 and 1"):
            metrics.predictive_value((1, 2), (1, 2), prevalence)


class TestShown:
    @pytest.mark.parametrize(
        ("probability", "text"),
        [
            (0.57, "0.570"),
            (0.95096, "0.95096"),  # below 0.95102: "0.951" would read as pneumonia
            (0.9505, "0.9505"),
            (0.95103, "0.951"),  # at or above 0.951 is pneumonia, and so is this
            (0.50934, "0.5093400"),
            (0.99999, "> 0.999"),
            (0.00001, "< 0.001"),
        ],
    )
    def test_digits_never_contradict_the_result(self, probability, text):
        limits = (0.5093404179882604, 0.9510232690940553)
        shown = shown_probability(probability, *limits)
        assert shown == text
        if "0.9" in shown and not shown.startswith(">"):
            upper = shown_limits(probability, *limits)[1]
            assert (float(shown) >= float(upper)) == (probability >= limits[1])

    def test_no_digits_hide_a_limit_close_to_one(self):
        assert shown_probability(0.9997, 0.2, 0.9999) == "0.9997"
        assert shown_probability(0.0003, 0.0004, 0.8) == "0.0003"
        assert shown_limits(0.0003, 0.0004, 0.8) == ("0.0004", "0.8000")

    @pytest.mark.parametrize(
        ("lower", "upper", "said"),
        [
            (0.4, 0.8, "Below 0.400: normal. 0.800 or above: pneumonia. Between: inconclusive."),
            (0.5, 0.5, "Below 0.500: normal. 0.500 or above: pneumonia."),
            (0.0, 0.8, "0.800 or above: pneumonia. Below: inconclusive."),
            (0.4, 1.1, "Below 0.400: normal. Otherwise: inconclusive."),
            (0.0, 1.1, "This model leaves every X-ray inconclusive."),
        ],
    )
    def test_the_rule_is_said_in_a_sentence(self, lower, upper, said):
        with translation.override("en"):
            assert rule_sentence(lower, upper) == said
        with translation.override("zh-hant"):
            assert re.search(r"[\u4e00-\u9fff]", rule_sentence(lower, upper))


def test_predict_image_states_the_rule_not_the_ranking_threshold(tmp_path, capsys):
    film = tmp_path / "film.png"
    film.write_bytes(encode(synthetic_film("NORMAL", seed=1, size=256), "png"))
    card = json.loads((SHIPPED / "card.json").read_text())
    open_gate = tmp_path / "open" / "pneumonia-2"
    shutil.copytree(SHIPPED, open_gate)
    card["scope"]["threshold"] = 1e9
    (open_gate / "card.json").write_text(json.dumps(card))
    call_command("predict_image", str(film), model=str(open_gate), json=tmp_path / "out.json")
    printed = capsys.readouterr().out
    assert "NORMAL below 0.509, PNEUMONIA from 0.951" in printed
    assert "threshold" not in printed
    (entry,) = json.loads((tmp_path / "out.json").read_text())
    assert entry["threshold"] == card["threshold"]["value"]
    assert entry["rule"] == {
        "name": "three-valued-1",
        "lower": card["conformal"]["lower"],
        "upper": card["conformal"]["upper"],
    }
