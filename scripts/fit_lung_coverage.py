"""Fit the estimate of the lungs (`mlcore.engine.serving.lung_coverage`) and measure its errors.

    scripts/fit_lung_coverage.py --data DIR [--check FILMS MASKS] [--write]

DIR holds `train/LABEL/*.jpeg` and `lungs/LABEL/*.png` of the same names (255 lung). The errors are
those of the warning for the shipped model's heatmaps: out of fold by patient on DIR and, fitted to
all of DIR, on the films of `--check`.
"""

import argparse
import io
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from mlcore.engine import metrics  # noqa: E402
from mlcore.engine.films.film import read_film, render_film  # noqa: E402
from mlcore.engine.serving import lung_coverage  # noqa: E402
from mlcore.engine.serving.explain import (  # noqa: E402
    Reference,
    decode_activation_map,
    encode_activation_map,
)
from mlcore.engine.serving.pipeline import OUTPUTS  # noqa: E402
from mlcore.engine.serving.preprocess import Preprocessing, prepare  # noqa: E402
from mlcore.engine.serving.runtime import Session  # noqa: E402

BUNDLE = ROOT / "tests/bundles/pneumonia-2"
PENALTY = 100.0
FOLDS = 5
THUMBNAIL_SIDE = 160  # the server estimates the lungs on its thumbnails


def patient_of(name: str) -> str:
    """Return the patient identifier in a file name of the public set."""
    person = re.match(r"person(\d+)_", name)
    return person[0] if person else name.rsplit("-", 1)[0]


def pairs(films: Path, masks: Path) -> Iterator[tuple[Path, Path]]:
    for film in sorted(films.glob("*/*")):
        mask = masks / film.parent.name / f"{film.stem}.png"
        if film.suffix in {".jpeg", ".jpg", ".png"} and mask.exists():
            yield film, mask


class Films:
    """What is known of a folder's films: inputs, true coverage, heatmaps, patients."""

    def __init__(self, films: Path, masks: Path) -> None:
        card = json.loads((BUNDLE / "card.json").read_text())
        session = Session((BUNDLE / "model.tflite").read_bytes(), outputs=OUTPUTS)
        reference = Reference.from_card(card["explanation"])
        spec = Preprocessing.from_card(card["preprocessing"])
        inputs, covers, maps, shown, patients = [], [], [], [], []
        for path, mask in pairs(films, masks):
            film = read_film(path.read_bytes())
            output = session.run(prepare(film.pixels, size=card["input_size"], spec=spec))
            thumbnail = render_film(film, max_side=THUMBNAIL_SIDE)
            inputs.append(lung_coverage.small_film(np.asarray(Image.open(io.BytesIO(thumbnail)))))
            covers.append(true_coverage(np.asarray(Image.open(mask)) == 255))
            stored = encode_activation_map(reference.local_evidence(output.activation_map))
            maps.append(decode_activation_map(stored))
            shown.append(output.scope_score <= card["scope"]["threshold"])
            patients.append(patient_of(path.name))
        self.inputs, self.covers = np.array(inputs), np.array(covers)
        self.maps, self.shown, self.patients = np.array(maps), np.array(shown), np.array(patients)


def true_coverage(mask: Any) -> Any:
    """Return the (64,) share of each cell that is lung or within `MARGIN` of it."""
    side = lung_coverage.CELLS * 28
    grown = ndimage.binary_dilation(mask, iterations=round(lung_coverage.MARGIN * side))
    return grown.reshape(lung_coverage.CELLS, 28, lung_coverage.CELLS, 28).mean((1, 3)).ravel()


def fit(inputs: Any, covers: Any) -> dict[str, Any]:
    mean, offset = inputs.mean(0), covers.mean(0)
    centred = inputs - mean
    gram = centred.T @ centred + PENALTY * np.eye(centred.shape[1])
    weights = np.linalg.solve(gram, centred.T @ (covers - offset))
    return {"mean": mean, "weights": weights, "offset": offset}


def estimated(fitted: dict[str, Any], inputs: Any) -> Any:
    return np.clip((inputs - fitted["mean"]) @ fitted["weights"] + fitted["offset"], 0, 1)


def report(name: str, films: Films, covers: Any) -> None:
    """Print the warning's errors, for the heatmaps that doctors would see."""
    outside, warned = [], []
    for evidence, shown, true, estimate in zip(
        films.maps, films.shown, films.covers, covers, strict=True
    ):
        cells = (lung_coverage.CELLS, lung_coverage.CELLS)
        actual = lung_coverage.share_inside(evidence, true.reshape(cells).astype(np.float32))
        if not shown or actual is None:
            continue
        outside.append(actual < 0.5)
        share = lung_coverage.share_inside(evidence, estimate.reshape(cells).astype(np.float32))
        warned.append(share is not None and share < lung_coverage.LEAST_INSIDE)
    truth, warning = np.array(outside), np.array(warned)
    print(f"{name}: {len(truth)} heatmaps with visible evidence, {truth.sum()} mostly outside")
    for text, of, among in (
        ("warned of those outside", warning, truth),
        ("warned of the others", warning, ~truth),
        ("right among the warnings", truth, warning),
    ):
        hits, n = int((of & among).sum()), int(among.sum())
        low, high = metrics.wilson_interval(hits, n)
        print(f"  {text}: {hits} of {n}, {hits / n:.3f} ({low:.3f} to {high:.3f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--check", type=Path, nargs=2, metavar=("FILMS", "MASKS"))
    parser.add_argument("--write", action="store_true", help=f"replace {lung_coverage.FILE.name}")
    arguments = parser.parse_args()
    films = Films(arguments.data / "train", arguments.data / "lungs")
    _names, patients = np.unique(films.patients, return_inverse=True)
    fold_of = np.random.default_rng(0).permutation(patients.max() + 1)[patients] % FOLDS
    covers = np.zeros_like(films.covers, dtype=float)
    for fold in range(FOLDS):
        held_out = fold_of == fold
        fitted = fit(films.inputs[~held_out], films.covers[~held_out])
        covers[held_out] = estimated(fitted, films.inputs[held_out])
    report("out of fold", films, covers)
    fitted = fit(films.inputs, films.covers)
    if arguments.check:
        others = Films(*arguments.check)
        report("checked", others, estimated(fitted, others.inputs))
    if arguments.write:
        stored = {name: values.astype(np.float16) for name, values in fitted.items()}
        np.savez_compressed(lung_coverage.FILE, **stored)


if __name__ == "__main__":
    main()
