"""The model card: identity, training, and all metrics with the commands to reproduce them."""

import csv
import io
from collections.abc import Callable, Mapping
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
from mlcore.engine.serving.bundle import LUNGS_TFLITE, TFLITE
from mlcore.engine.serving.pipeline import Network, Output, Pipeline
from mlcore.engine.training import lung_stage, outliers, provenance, scope
from mlcore.engine.training.fitting import Development, External, Fitted
from mlcore.engine.training.plan import Plan
from mlcore.engine.training.training import EpochResult, Options

Pixels = npt.NDArray[np.uint8]
Vector = npt.NDArray[Any]
Run = Callable[[Pixels], Output]
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
    agreement: dict[str, Any]

    def pipeline(self, networks: Mapping[str, Network]) -> Pipeline:
        """Return the pipeline of the serving networks by the name of their file."""
        return Pipeline(
            self.options.preprocessing,
            self.fitted.reference,
            networks[TFLITE],
            networks.get(LUNGS_TFLITE),
        )

    def measured(
        self, pipeline: Pipeline, *, on_stage: Callable[[str], None]
    ) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Evaluate the served networks on the test films.

        Args:
            pipeline: the served networks.
            on_stage: called with a short description of each stage.

        Returns:
            The card, and the files that belong to it: plots and `predictions.csv`.
        """
        run = pipeline.run
        records = self.manifest.of("test")
        films = list(FilmFiles([self.manifest.root / record.path for record in records]))
        labels = np.array([LABELS.index(record.label) for record in records])
        answers = predict_all(run, films)
        on_stage("testing shortcuts and robustness")
        scores = self._development_scores(run)
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
                pipeline, films, labels, self.fitted.lung_field
            )
        if self.development.external is not None:
            card["external"] = self._external_figures(run, self.development.external)
        if self.agreement:
            card["lungs"] = {"folds": lung_stage.FOLDS, "out_of_fold": self.agreement}
        card["failures"] = self._failures(pipeline, films, records, labels, answers)
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
                    "learnt": int((~self.fitted.outliers.is_test).sum()),
                    "held_out": int(self.fitted.outliers.is_test.sum()),
                    "sources": list(self.fitted.outliers.names),
                },
            },
            "training": provenance.of_training(options, self.history)
            | {"started_from": plan.started_from},
            "commands": provenance.commands(plan, options),
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
                "fitted_on": "validation and external"
                if self.development.external
                else "validation",
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
                "how": scope.HOW + (scope.MORE if development.external else ""),
            },
            "explanation": fitted.reference.to_card(),
            "lung_field": None if fitted.lung_field is None else lungs.to_card(fitted.lung_field),
            "roc_validation": metrics.roc_points(labels, probabilities),
        }

    def _threshold(self, labels: Vector) -> dict[str, Any]:
        members = self.plan.members
        on = (
            "the validation split"
            if members == 1
            else f"out-of-fold predictions of {members} ensemble members"
        )
        also = "; the mean with the same on external films" if self.development.external else ""
        return {
            "value": self.fitted.threshold,
            "chosen_on": "validation",
            "how": (
                "median over 500 bootstrap samples of the threshold that maximises sensitivity + "
                f"specificity, on {on}; every film unchanged and under one corruption{also}"
            ),
            "share_of_pneumonia": float(labels.mean()),
        }

    def _development_scores(self, run: Run) -> Vector:
        """Return scope scores of films that neither detector was trained on, NaN for others."""
        unseen = self.development.unseen
        scores = np.full(len(unseen), np.nan)
        scores[unseen] = predict_all(run, list(self.development.squashed[unseen])).scope_scores
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

    def _external_figures(self, run: Run, external: External) -> dict[str, Any]:
        """Return figures of the external films, to which the limits were fitted too."""
        fitted = self.fitted
        answers = predict_all(run, list(external.films))
        outside = answers.scope_scores > scope.THRESHOLD
        found = figures(
            external.labels,
            answers.probabilities,
            threshold=fitted.threshold,
            abstention=fitted.abstention,
            flagged=int(outside.sum()),
        )
        found["decision"] = outcomes(
            external.labels, answers.probabilities, rule=fitted.rule, out_of_scope=outside
        )
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
        outliers_, is_test = self.fitted.outliers, self.fitted.outliers.is_test
        if is_test.any():
            held = predict_all(run, list(outliers_.films[is_test])).scope_scores
            sets.append(("adult test films", held))
            for number, name in enumerate(outliers_.names if len(outliers_.names) > 1 else ()):
                of_source = outliers_.source[is_test] == number
                if of_source.any():
                    sets.append((f"adult test films of {name}", held[of_source]))
        rotated = predict_all(
            run, films, change=lambda film, _: outliers.rotated(film, rng), workers=1
        )
        sets.append(("rotated or upside-down films", rotated.scope_scores))
        pictures = [outliers.synthetic(rng, size=size) for _ in range(PICTURES)]
        sets.append(("synthetic images", predict_all(run, pictures).scope_scores))
        counts = {
            name: (int((scores > scope.THRESHOLD).sum()), len(scores)) for name, scores in sets
        } | {
            f"adults of {name}, left out of training": counted
            for name, counted in self.fitted.left_out.items()
        }
        rows = [
            {
                "set": name,
                "n": n,
                "flagged": metrics.share(flagged, n, f"The proportion flagged of {name}"),
                "flagged_ci": list(metrics.wilson_interval(flagged, n)),
            }
            for name, (flagged, n) in counts.items()
        ]
        return {
            "flagged": {split: figure["out_of_scope_rate"] for split, figure in found.items()},
            "measured": rows,
        }

    def _failures(
        self,
        pipeline: Pipeline,
        films: list[Pixels],
        records: list[FilmRecord],
        labels: Vector,
        answers: Predictions,
    ) -> list[dict[str, Any]]:
        fitted = self.fitted
        called = answers.probabilities >= fitted.threshold
        outside = answers.scope_scores > scope.THRESHOLD
        results = fitted.rule.results_of(answers.probabilities)
        shown = np.where(outside, "OUT_OF_SCOPE", results).tolist()
        series = [record.series for record in records]
        maps = [pipeline.heatmap(output) for output in answers.outputs]
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
