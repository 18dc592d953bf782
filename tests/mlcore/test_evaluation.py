"""Abstention, folds, preprocessing, shortcut probes, corruptions and synthetic outliers."""

import hashlib
import warnings

import numpy as np
import pytest

from mlcore.engine.data import folds
from mlcore.engine.data.dataset import FilmRecord
from mlcore.engine.evaluation import corruptions, failures, lungs, probe
from mlcore.engine.evaluation.predictions import Predictions
from mlcore.engine.serving import conformal
from mlcore.engine.serving.pipeline import Output
from mlcore.engine.serving.preprocess import EQUALISE, LOCAL_CONTRAST, Preprocessing, prepare_bytes
from mlcore.engine.training import outliers
from tests.films import synthetic_film


def sample(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities that separate them with some overlap."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    return labels, 1 / (1 + np.exp(-(3 * (2 * labels - 1) + rng.normal(0, 2.2, n))))


def normal_film(*, seed: int, size: int) -> np.ndarray:
    return synthetic_film("NORMAL", seed=seed, size=size)


class TestAbstention:
    @pytest.mark.parametrize("label", [0, 1])
    @pytest.mark.parametrize("coverage", [0.8, 0.95, 0.97])
    def test_prediction_sets_equal_mapie(self, label, coverage):
        """MAPIE fitted on one label is split-conformal prediction for that label."""
        from mapie.classification import SplitConformalClassifier
        from sklearn.linear_model import LogisticRegression

        class Given(LogisticRegression):
            """A classifier whose features are its probabilities."""

            def predict_proba(self, x):
                p = np.asarray(x)[:, 0]
                return np.stack([1 - p, p], axis=1)

            def predict(self, x):
                return (np.asarray(x)[:, 0] >= 0.5).astype(int)

        labels, p = sample(800, seed=1)
        given = Given().fit(p[:, np.newaxis], labels)
        _, fresh = sample(500, seed=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            oracle = SplitConformalClassifier(
                given, confidence_level=coverage, conformity_score="lac", prefit=True
            )
            mine = labels == label
            oracle.conformalize(p[mine, np.newaxis], labels[mine])
            _, sets = oracle.predict_set(fresh[:, np.newaxis])
        scores = np.where(labels == 1, 1 - p, p)[mine]
        limit = conformal.quantile(scores, coverage)
        ours = (fresh if label == 0 else 1 - fresh) <= limit
        assert np.array_equal(ours, sets[:, label, 0])

    def test_coverage_holds_on_new_films(self):
        labels, p = sample(2000, seed=3)
        fitted = conformal.fit(labels, p, threshold=0.5, coverage=0.95)
        fresh, q = sample(20000, seed=4)
        sure = ~fitted.is_unsure(q)
        for label in (0, 1):
            wrong = sure & ((q >= 0.5) != (fresh == 1)) & (fresh == label)
            assert wrong.sum() / (fresh == label).sum() < 0.062
        assert 0.03 < (~sure).mean() < 0.4

    def test_band_contains_the_threshold(self):
        labels, p = sample(500, seed=5)
        for threshold in (0.01, 0.4, 0.6, 0.999):
            fitted = conformal.fit(labels, p, threshold=threshold)
            assert fitted.lower <= threshold <= fitted.upper

    def test_too_few_films_make_every_film_unsure(self):
        fitted = conformal.fit([0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8], threshold=0.5)
        assert fitted.is_unsure([0.0, 0.5, 1.0]).all()

    def test_invalid_arguments_are_refused(self):
        with pytest.raises(ValueError, match="both labels"):
            conformal.fit([1, 1], [0.5, 0.6], threshold=0.5)
        with pytest.raises(ValueError, match="coverage"):
            conformal.fit([0, 1], [0.5, 0.6], threshold=0.5, coverage=1.0)


def record(patient: str, label: str, series: str, number: int) -> FilmRecord:
    digest = hashlib.sha256(f"{patient} {number}".encode()).hexdigest()
    return FilmRecord(
        path=f"{label}/{patient}-{number}.jpeg", label=label, patient=patient, series=series,
        split="train", sha256=digest, pixels_sha256=digest, perceptual_hash=digest,
    )  # fmt: skip


class TestFolds:
    films = [record(f"IM-{n:04d}", "NORMAL", "IM", k) for n in range(9, 109) for k in (1, 2)] + [
        record(f"person{n}", "PNEUMONIA", "virus", 1) for n in range(1, 91)
    ]

    def test_folds_are_runs_of_patients_and_keep_patients_together(self):
        fold = folds.blocks(self.films, 4)
        by_patient: dict[str, set[int]] = {}
        for film, number in zip(self.films, fold, strict=True):
            by_patient.setdefault(film.patient, set()).add(int(number))
        assert len(by_patient) == 190
        assert all(len(found) == 1 for found in by_patient.values())
        for series in ("IM", "virus"):
            ordered = sorted(
                (int(f.patient.replace("IM-", "").replace("person", "")), int(n))
                for f, n in zip(self.films, fold, strict=True)
                if f.series == series
            )
            numbers = [n for _, n in ordered]
            assert numbers == sorted(numbers), series
            counts = np.bincount(numbers)
            assert len(counts) == 4
            assert counts.max() - counts.min() <= 2

    def test_too_few_patients_are_refused(self):
        with pytest.raises(ValueError, match="fewer members"):
            folds.blocks(self.films[:2] + self.films[-1:], 2)
        with pytest.raises(ValueError, match="at least 2"):
            folds.blocks(self.films, 1)


class TestLocalContrast:
    spec = Preprocessing(id=LOCAL_CONTRAST)

    def test_input_is_robust_to_exposure_and_gradients(self):
        film = normal_film(seed=1, size=224)
        row = np.linspace(0.75, 1, 224)[:, np.newaxis]
        for other in (film * 0.7, 40 + film * 0.6, film * row):
            changed = np.clip(other, 0, 255).astype(np.uint8)
            local = _difference(film, changed, self.spec)
            whole = np.abs(film.astype(float) - changed).mean()
            assert local < 0.35 * whole

    def test_uniform_film_becomes_mid_grey(self):
        flat = np.full((50, 60), 90, np.uint8)
        assert set(np.unique(prepare_bytes(flat, size=64, spec=self.spec))) == {128}

    def test_card_entry_round_trip(self):
        for spec in (self.spec, Preprocessing(id=EQUALISE, histogram_margin=0.1)):
            entry = {"id": spec.id, "parameters": spec.parameters()}
            assert Preprocessing.from_card(entry) == spec
        assert "window" not in Preprocessing(id=EQUALISE).parameters()
        with pytest.raises(ValueError, match=r"Unknown preprocessing\. Received: 'x'"):
            Preprocessing.from_card({"id": "x", "parameters": {}})


def _difference(first: np.ndarray, second: np.ndarray, spec: Preprocessing) -> float:
    a, b = (prepare_bytes(film, size=224, spec=spec).astype(float) for film in (first, second))
    return float(np.abs(a - b).mean())


class TestProbe:
    field = np.zeros((56, 56), bool)
    field[14:42, 8:24] = field[14:42, 32:48] = True

    def test_each_probe_masks_its_region(self):
        film = np.full((100, 200), 200, np.uint8)
        shown = {name: probe.masked(film, name, self.field) > 0 for name in probe.PROBES}
        assert shown["none"].all()
        assert not shown["lungs_masked"][50, 50]
        assert shown["lungs_masked"][50, 100]
        assert not shown["frame_masked"][5, 100]
        assert shown["frame_masked"][50, 100]
        assert np.array_equal(shown["frame_alone"], ~shown["frame_masked"])
        assert not shown["corners_masked"][10, 190]
        assert shown["corners_masked"][10, 100]
        with pytest.raises(ValueError, match="Unknown probe"):
            probe.masked(film, "nose", self.field)

    def test_frame_shortcut_is_detected(self):
        rng = np.random.default_rng(0)
        labels = np.arange(40) % 2
        films = rng.integers(100, 150, (40, 64, 64)).astype(np.uint8)
        films[:, :4] = 40 + 150 * labels[:, np.newaxis, np.newaxis]

        def answers(change):
            seen = [change(film, place) for place, film in enumerate(films)]
            even = np.ones((4, 4), np.float32)
            return Predictions.of([Output(film[:4].mean() / 255, even, 0.0) for film in seen])

        report = probe.report(
            labels, answers, self.field, heatmap=lambda output: output.activation_map
        )
        areas = {row["probe"]: row["auc"] for row in report["probes"]}
        assert areas["none"] == areas["frame_alone"] == areas["lungs_masked"] == 1
        assert areas["frame_masked"] == 0.5
        inside = report["activation_in_lungs"]
        assert inside["share"] == pytest.approx(inside["area"])

    def test_activation_in_the_lungs(self):
        inside = self.field.astype(float)
        found = probe.activation_in_lungs([inside], self.field)
        assert found["share"] == pytest.approx(1)
        assert found["area"] == pytest.approx(self.field.mean())


def test_lung_field_covers_both_lungs():
    field = lungs.find([normal_film(seed=seed, size=160) for seed in range(30)])
    left, right = field[:, :28].mean(), field[:, 28:].mean()
    assert 0.1 < left < 0.7
    assert 0.1 < right < 0.7
    assert np.array_equal(lungs.from_card(lungs.to_card(field)), field)
    with pytest.raises(ValueError, match="no dark region"):
        lungs.find([np.full((80, 80), 7, np.uint8)])


class TestCorruptions:
    film = normal_film(seed=2, size=200)

    @pytest.mark.parametrize("kind", corruptions.KINDS)
    def test_corruptions_are_graded_and_reproducible(self, kind):
        before = self.film.copy()
        done = [corruptions.corrupt(self.film, kind, s, seed=4) for s in (1, 2, 3)]
        again = corruptions.corrupt(self.film, kind, 3, seed=4)
        assert np.array_equal(done[2], again)
        assert np.array_equal(self.film, before)
        if kind == "crop":
            assert [film.shape for film in done] == [(188, 188), (176, 176), (156, 156)]
        else:
            strength = [np.abs(film.astype(int) - before).mean() for film in done]
            assert 0 < strength[0] < strength[2]

    def test_the_seed_decides_the_corruption(self):
        some = [corruptions.any_of(self.film, seed) for seed in range(12)]
        assert np.array_equal(some[3], corruptions.any_of(self.film, 3))
        assert len({film.tobytes() for film in some}) > 8

    def test_unknown_corruption_is_refused(self):
        with pytest.raises(ValueError, match="Received: 'rain'"):
            corruptions.corrupt(self.film, "rain", 1, seed=0)


class TestOutliers:
    def test_synthetic_images_have_the_requested_size_and_differ(self):
        rng = np.random.default_rng(0)
        made = [outliers.synthetic(rng, size=64) for _ in range(60)]
        assert all(picture.shape == (64, 64) for picture in made)
        assert all(picture.dtype == np.uint8 for picture in made)
        assert len({picture.tobytes() for picture in made}) == 60

    def test_rotated_films_are_never_upright(self):
        film = normal_film(seed=3, size=64)
        rng = np.random.default_rng(1)
        not_upright = [film[::-1], *(np.rot90(film, quarters) for quarters in (1, 2, 3))]
        seen = set()
        for _ in range(40):
            turned = outliers.rotated(film, rng)
            (found,) = (n for n, way in enumerate(not_upright) if np.array_equal(turned, way))
            seen.add(found)
        assert seen == {0, 1, 2, 3}

    def test_shuffled_films_keep_their_size_and_lose_their_order(self):
        first, second = normal_film(seed=3, size=64), normal_film(seed=4, size=64)
        rng = np.random.default_rng(1)
        for _ in range(30):
            broken = outliers.shuffled(first, second, rng)
            assert (broken.shape, broken.dtype) == ((64, 64), np.uint8)
            for film in (first, second):
                assert np.abs(broken.astype(int) - film).mean() > 10


def test_failures_are_described_most_confident_first():
    films = [normal_film(seed=seed, size=64) for seed in range(20)]
    films[3][:8] = 255
    labels = np.zeros(20, int)
    probabilities = np.full(20, 0.1)
    probabilities[[3, 5]] = 0.8, 0.95
    maps = np.zeros((20, 8, 8))
    maps[3, 7, 0] = maps[5, 0, 4] = 1
    answers = Predictions(probabilities, np.zeros(20), maps)
    told = failures.describe(
        films, labels, ["IM"] * 20, answers, list(maps), ["PNEUMONIA"] * 20, probabilities > 0.5
    )
    assert [entry["probability"] for entry in told] == [0.95, 0.8]
    assert [entry["where"] for entry in told] == ["middle", "lower_left"]
    assert "bright_edge" in told[1]["traits"]
    assert told[0]["truth"] == "NORMAL"
