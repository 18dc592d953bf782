"""The model card: identity, training, and all metrics with the commands to reproduce them."""

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mlcore.engine import metrics
from mlcore.engine.data.dataset import LABELS, FilmRecord, Manifest
from mlcore.engine.evaluation import failures, lungs, plots, weaknesses
from mlcore.engine.evaluation.outcomes import outcomes
from mlcore.engine.evaluation.predictions import (
    FilmFiles,
    Predictions,
    by_series,
    figures,
    predict_all,
)
from mlcore.engine.serving import conformal
from mlcore.engine.serving.preprocess import Preprocessing, prepare
from mlcore.engine.serving.runtime import Output, Session
from mlcore.engine.training import outliers, provenance, scope
from mlcore.engine.training.fitting import Development, Fitted
from mlcore.engine.training.plan import Plan
from mlcore.engine.training.training import EpochResult, Options, outputs_of

Pixels = npt.NDArray[np.uint8]
Vector = npt.NDArray[Any]
Run = Callable[[Pixels], Output]
ROC_POINTS = 200
PICTURES = 300
PREDICTION_COLUMNS = (
    "split", "pixels_sha256", "label", "series", "probability", "scope_score",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Report:
    """Everything that the card is written from."""

    plan: Plan
    manifest: Manifest
    options: Options
    development: Development
    fitted: Fitted
    history: list[list[EpochResult]]
    seconds: float

    def measured(
        self, session: Session, *, on_stage: Callable[[str], None]
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Evaluate the served network on the test films.

        Args:
            session: the served network.
            on_stage: called with a short description of each stage.

        Returns:
            The card, and the files that belong to it: plots and `predictions.csv`.
        """
        run = runner(session, self.options.preprocessing, self.options.image_size)
        records = self.manifest.of("test")
        films = list(FilmFiles([self.manifest.root / record.path for record in records]))
        labels = np.array([LABELS.index(record.label) for record in records])
        answers = predict_all(run, films)
        on_stage("testing shortcuts and robustness")
        scores = self._development_scores()
        card = self._identity() | self._decisions()
        card["metrics"] = {
            "validation": self._validation_figures(scores),
            "test": self._test_figures(records, labels, answers),
        }
        card["calibration"] |= {
            name: card["metrics"]["validation"][name] for name in ("ece", "brier")
        }
        card["scope"] |= self._scope_measured(run, films, answers, card["metrics"])
        card["robustness"] = {"on": "test"} | weaknesses.robustness(
            run, films, labels, threshold=self.fitted.threshold, limit=scope.THRESHOLD
        )
        if self.fitted.lung_field is not None:
            card["shortcuts"] = {"on": "test"} | weaknesses.shortcuts(
                run, films, labels, self.fitted.lung_field, self.fitted.reference
            )
        card["failures"] = self._failures(films, records, labels, answers)
        files = self._plots(labels, answers) | {
            "predictions.csv": self._predictions(scores, records, answers)
        }
        card["plots"] = ["curves.png", "roc.png", "reliability.png", "confusion.png"]
        return card, files

    def _identity(self) -> dict[str, Any]:
        plan, options = self.plan, self.options
        return {
            "name": plan.name,
            "labels": list(LABELS),
            "input_size": options.image_size,
            "members": plan.members,
            "preprocessing": {
                "id": options.preprocessing.id,
                "parameters": options.preprocessing.parameters(),
            },
            "population": plan.population,
            "data": {
                "manifest_sha256": self.manifest.sha256(),
                "counts": self.manifest.counts(),
                "patients": len({film.patient for film in self.manifest.films}),
                "split": "by patient, duplicates kept together, stratified by label and series",
                "outliers": {
                    "learnt": len(self.fitted.outlier_films.training),
                    "held_out": len(self.fitted.outlier_films.test),
                },
            },
            "training": provenance.of_training(
                options, epochs=[len(epochs) for epochs in self.history], seconds=self.seconds
            )
            | {"started_from": plan.started_from},
            "commands": provenance.commands(
                plan.name,
                options,
                members=plan.members,
                outliers=bool(plan.outliers),
                start=plan.started_from,
            ),
        }

    def _decisions(self) -> dict[str, Any]:
        """Return threshold, calibration, abstention and scope, with what they were fitted on."""
        fitted, development = self.fitted, self.development
        labels = development.data.labels[development.judged]
        probabilities = fitted.calibration.probabilities(development.logits[development.judged])
        abstention = fitted.abstention
        return {
            "threshold": self._threshold(labels),
            "calibration": {
                "method": "Platt: log-odds / temperature + bias",
                "temperature": fitted.calibration.temperature,
                "bias": fitted.calibration.bias,
                "fitted_on": "validation",
            },
            "conformal": {
                "method": conformal.METHOD,
                "coverage": abstention.coverage,
                "lower": abstention.lower,
                "upper": abstention.upper,
                "fitted_on": "validation",
                "n": {label: int((labels == i).sum()) for i, label in enumerate(LABELS)},
            },
            "scope": {
                "method": scope.METHOD,
                "threshold": scope.THRESHOLD,
                "chosen_on": "validation",
                "how": scope.HOW,
            },
            "explanation": fitted.reference.to_card(),
            "lung_field": None if fitted.lung_field is None else lungs.to_card(fitted.lung_field),
            "roc_validation": roc_points(labels, probabilities),
        }

    def _threshold(self, labels: Vector) -> dict[str, Any]:
        members = self.plan.members
        on = (
            "the validation split"
            if members == 1
            else f"out-of-fold predictions of {members} ensemble members"
        )
        return {
            "value": self.fitted.threshold,
            "chosen_on": "validation",
            "how": (
                "median over 500 bootstrap samples of the threshold that maximises sensitivity + "
                f"specificity, on {on}; every film unchanged and under one corruption"
            ),
            "share_of_pneumonia": float(labels.mean()),
        }

    def _development_scores(self) -> Vector:
        """Return scope scores of films that neither detector was trained on, NaN for others."""
        unseen = self.development.unseen
        scores = np.full(len(unseen), np.nan)
        scores[unseen] = self._scores_of_prepared(self.development.data.films[unseen])
        return scores

    def _validation_figures(self, scores: Vector) -> dict[str, Any]:
        development, fitted = self.development, self.fitted
        judged, unseen = development.judged, development.unseen
        labels = development.data.labels[judged]
        probabilities = fitted.calibration.probabilities(development.logits[judged])
        found = figures(
            labels,
            probabilities,
            threshold=fitted.threshold,
            abstention=fitted.abstention,
            flagged=int((scores[unseen] > scope.THRESHOLD).sum()),
            measured_for_scope=int(unseen.sum()),
        )
        series = [development.records[i].series for i in np.flatnonzero(judged)]
        found["by_series"] = by_series(
            series, labels, probabilities,
            threshold=fitted.threshold, abstention=fitted.abstention,
        )  # fmt: skip
        found["decision"] = outcomes(labels, probabilities, rule=fitted.rule, series=series)
        return found

    def _test_figures(
        self, records: list[FilmRecord], labels: Vector, answers: Predictions
    ) -> dict[str, Any]:
        fitted = self.fitted
        found = figures(
            labels,
            answers.probabilities,
            threshold=fitted.threshold,
            abstention=fitted.abstention,
            flagged=int((answers.scope_scores > scope.THRESHOLD).sum()),
        )
        found["by_series"] = by_series(
            [record.series for record in records], labels, answers.probabilities,
            threshold=fitted.threshold, abstention=fitted.abstention,
        )  # fmt: skip
        found["decision"] = outcomes(
            labels,
            answers.probabilities,
            rule=fitted.rule,
            out_of_scope=answers.scope_scores > scope.THRESHOLD,
            series=[record.series for record in records],
        )
        return found

    def _scope_measured(
        self, run: Run, films: list[Pixels], answers: Predictions, found: dict[str, Any]
    ) -> dict[str, Any]:
        rng = np.random.default_rng([self.options.seed, 17])
        size = self.options.image_size
        sets: list[tuple[str, Vector]] = [("paediatric test films", answers.scope_scores)]
        held = self.fitted.outlier_films.test
        if len(held):
            sets.append(("adult test films", self._scores_of_prepared(held)))
        rotated = predict_all(
            run, films, change=lambda film, _: outliers.rotated(film, rng), workers=1
        )
        sets.append(("rotated or upside-down films", rotated.scope_scores))
        pictures = [outliers.synthetic(rng, size=size) for _ in range(PICTURES)]
        sets.append(("synthetic images", predict_all(run, pictures).scope_scores))
        rows = []
        for name, scores in sets:
            flagged = int((scores > scope.THRESHOLD).sum())
            interval = list(metrics.wilson_interval(flagged, len(scores)))
            rows.append(
                {"set": name, "n": len(scores), "flagged": flagged / len(scores),
                 "flagged_ci": interval}
            )  # fmt: skip
        return {
            "flagged": {split: figure["out_of_scope_rate"] for split, figure in found.items()},
            "measured": rows,
        }

    def _scores_of_prepared(self, films: Pixels) -> Vector:
        return self.fitted.gate.score(outputs_of(self.fitted.first, films)["descriptor"], films)

    def _failures(
        self, films: list[Pixels], records: list[FilmRecord], labels: Vector, answers: Predictions
    ) -> list[dict[str, Any]]:
        fitted = self.fitted
        called = answers.probabilities >= fitted.threshold
        outside = answers.scope_scores > scope.THRESHOLD
        results = fitted.rule.results_of(answers.probabilities)
        shown = np.where(outside, "OUT_OF_SCOPE", results).tolist()
        series = [record.series for record in records]
        maps = [fitted.reference.local_evidence(cells) for cells in answers.maps]
        return failures.describe(
            films, labels, series, answers, maps, shown, called != (labels == 1)
        )

    def _plots(self, labels: Vector, answers: Predictions) -> dict[str, bytes]:
        p, threshold = answers.probabilities, self.fitted.threshold
        return {
            "roc.png": plots.roc(labels, p, threshold=threshold),
            "reliability.png": plots.reliability(labels, p),
            "confusion.png": plots.confusion(metrics.confusion(labels, p, threshold), LABELS),
        }

    def _predictions(
        self, scores: Vector, records: list[FilmRecord], answers: Predictions
    ) -> bytes:
        """Return one row per validation and test film, without names of patients or files."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(PREDICTION_COLUMNS)

        def row(split: str, film: FilmRecord, probability: float, score: float) -> None:
            shown = "" if np.isnan(score) else f"{score:.6f}"
            writer.writerow(
                [split, film.pixels_sha256, film.label, film.series, f"{probability:.8f}", shown]
            )

        development = self.development
        probabilities = self.fitted.calibration.probabilities(development.logits)
        for i in np.flatnonzero(development.judged).tolist():
            row("validation", development.records[i], probabilities[i], scores[i])
        for i, film in enumerate(records):
            row("test", film, answers.probabilities[i], answers.scope_scores[i])
        return text.getvalue().encode()


def runner(session: Session, spec: Preprocessing, size: int) -> Run:
    """Return a function from (H, W) uint8 pixels to the output, including preprocessing."""
    return lambda film: session.run(prepare(film, size=size, spec=spec))


def roc_points(labels: Vector, probabilities: Vector) -> dict[str, list[float]]:
    """Return at most ROC_POINTS points of the ROC curve, by falling threshold."""
    false, true, cuts = metrics.roc(labels, probabilities)
    false, true, cuts = false[1:], true[1:], cuts[1:]
    # Evenly spaced along the curve, so that its corner is well sampled.
    length = np.cumsum(np.abs(np.diff(false, prepend=0)) + np.abs(np.diff(true, prepend=0)))
    wanted = np.searchsorted(length, np.linspace(0, length[-1], ROC_POINTS))
    kept = np.unique(np.minimum(wanted, len(cuts) - 1))
    return {
        "probability": [round(float(cut), 6) for cut in cuts[kept]],
        "sensitivity": [round(float(value), 6) for value in true[kept]],
        "specificity": [round(float(1 - value), 6) for value in false[kept]],
    }
