"""A site's films for tests: tiny images whose brightness says what a model answers."""

from pathlib import Path

import numpy as np

from mlcore.engine.data.dataset import LABELS, FilmRecord
from mlcore.engine.evaluation.site_films import SiteFilms
from mlcore.engine.serving.calibration import Calibration
from mlcore.engine.serving.pipeline import Output
from tests.films import encode

SIDE = 64
PLAIN = Calibration(1.0, 0.0)


def site_films(
    per_label: int,
    *,
    seed: int = 0,
    shift: float = 0.0,
    gap: float = 4.0,
    per_patient: int = 1,
    calibration: Calibration = PLAIN,
) -> SiteFilms:
    """Return films with normal log-odds, `gap` apart and `shift` too high, without any image."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], per_label)
    logits = rng.normal(gap * (labels - 0.5), 1.5) + shift
    records = [
        FilmRecord(
            path=f"{LABELS[label]}/{number}.png",
            label=LABELS[label],
            patient=f"{label}-{number // per_patient}",
            series="",
            split="",
            sha256=f"{number:064x}",
            pixels_sha256=f"{number:064x}",
            perceptual_hash=rng.bytes(32).hex(),
        )
        for number, label in enumerate(labels.tolist())
    ]
    return SiteFilms(
        records=records,
        unreadable=[],
        labels=labels,
        logits=logits,
        probabilities=calibration.probabilities(logits),
        scope_scores=rng.normal(0, 0.3, len(labels)),
        hints=[()] * len(labels),
    )


def write_site(root: Path, per_label: int, *, seed: int = 0) -> Path:
    """Write small films whose mean grey level is 100 ± 20, higher with pneumonia."""
    rng = np.random.default_rng(seed)
    for label, middle in zip(LABELS, (92, 108), strict=True):
        (root / label).mkdir(parents=True)
        for number in range(per_label):
            grey = np.clip(rng.normal(middle, 7), 60, 140)
            film = np.clip(rng.normal(grey, 30, (SIDE, SIDE)), 0, 255).astype(np.uint8)
            (root / label / f"{label}-{seed}-{number}.png").write_bytes(encode(film, "png"))
    return root


def answer_by_brightness(calibration: Calibration):
    """Return a `LoadedModel.run` whose log-odds before calibration follow from the brightness."""

    def run(_, pixels: np.ndarray) -> Output:
        logit = (float(pixels.mean()) - 96) / 4
        evidence = np.full((8, 8), logit, np.float32)
        return Output(float(calibration.probabilities(logit)), evidence, 0.1)

    return run
