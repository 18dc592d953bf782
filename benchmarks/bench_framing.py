"""Benchmark of framing and equipment: how far the results of a bundle depend on them.

    python benchmarks/bench_framing.py --bundle DIR --data DIR [--originals DIR] --json FILE

Each film of `--data` (a folder with class folders) is read as it is, and cropped, stretched,
padded, with another gamma, compressed, blurred, noisy or with markers. With `--originals`, each of
these films is read as published and squashed to a square of 224 pixels.
"""

import argparse
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from mlcore.engine.data.dataset import LABELS
from mlcore.engine.evaluation import corruptions
from mlcore.engine.films.film import read_film
from mlcore.engine.serving import bundle
from mlcore.engine.serving.decision import DecisionRule
from mlcore.engine.serving.pipeline import Pipeline

Pixels = np.ndarray


def cropped(share: float) -> Callable[[Pixels], Pixels]:
    def change(film: Pixels) -> Pixels:
        y, x = (round(share * side) for side in film.shape)
        return film[y : film.shape[0] - y, x : film.shape[1] - x]

    return change


def widened(film: Pixels) -> Pixels:
    height, width = film.shape
    return np.asarray(Image.fromarray(film).resize((round(1.15 * width), height)))


def padded(film: Pixels) -> Pixels:
    y, x = (side // 10 for side in film.shape)
    return np.pad(film, ((y, y), (x, x)))


def exposed(gamma: float) -> Callable[[Pixels], Pixels]:
    return lambda film: np.rint(255 * (film / 255) ** gamma).astype(np.uint8)


def compressed(film: Pixels) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(film).save(buffer, "JPEG", quality=25)
    return np.asarray(Image.open(buffer))


def blurred(film: Pixels) -> Pixels:
    radius = 1.5 * min(film.shape) / 224
    return np.asarray(Image.fromarray(film).filter(ImageFilter.GaussianBlur(radius)))


def noisy(film: Pixels) -> Pixels:
    grain = np.random.default_rng(0).normal(0, 0.06 * 255, film.shape)
    return np.clip(np.rint(film + grain), 0, 255).astype(np.uint8)


def marked(film: Pixels) -> Pixels:
    return corruptions.corrupt(film, "marker", 3, seed=0)


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "unchanged": lambda film: film,
    "cropped by 3 % a side": cropped(0.03),
    "cropped by 6 % a side": cropped(0.06),
    "cropped by 11 % a side": cropped(0.11),
    "15 % wider": widened,
    "padded by 10 % a side": padded,
    "gamma 0.6": exposed(0.6),
    "gamma 1.6": exposed(1.6),
    "JPEG, quality 25": compressed,
    "blurred, 1.5 pixels at 224": blurred,
    "noise, 6 % of white": noisy,
    "three markers": marked,
}


def films_of(folder: Path) -> list[tuple[Pixels, int]]:
    """Return the films of a folder with class folders, and their labels."""
    return [
        (read_film(path.read_bytes()).pixels, number)
        for number, label in enumerate(LABELS)
        for path in sorted((folder / label).iterdir())
    ]


def counted(found: bundle.Bundle, films: list[tuple[Pixels, int]]) -> list[dict[str, Any]]:
    """Return one row of figures for each change."""
    pipeline, rule = Pipeline.of(found), DecisionRule.of(found.card)
    threshold, limit = found.card["threshold"]["value"], found.card["scope"]["threshold"]
    sick = np.array([label for _, label in films]) == 1
    rows = []
    for name, change in CHANGES.items():
        outputs = [pipeline.run(change(film)) for film, _ in films]
        probability = np.array([output.probability for output in outputs])
        called = np.asarray(rule.results_of(probability))
        refused = np.array([output.scope_score > limit for output in outputs])
        rows.append(
            {
                "change": name,
                "sensitivity": float((probability[sick] >= threshold).mean()),
                "specificity": float((probability[~sick] < threshold).mean()),
                "sick_called_normal": float((called[sick] == LABELS[0]).mean()),
                "well_called_pneumonia": float((called[~sick] == LABELS[1]).mean()),
                "unsure": float((called == "UNSURE").mean()),
                "refused": float(refused.mean()),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def squashed_or_not(found: bundle.Bundle, films: list[tuple[Pixels, int]]) -> dict[str, Any]:
    """Compare films as published with the same films squashed to a square."""
    pipeline, rule = Pipeline.of(found), DecisionRule.of(found.card)
    pairs = []
    for film, _ in films:
        square = np.asarray(Image.fromarray(film).resize((224, 224), Image.Resampling.BICUBIC))
        pairs.append([pipeline.run(given).probability for given in (film, square)])
    whole, small = np.array(pairs).T
    difference = np.abs(whole - small)
    labels = np.asarray(rule.results_of(whole)) != np.asarray(rule.results_of(small))
    return {
        "n": len(films),
        "median": float(np.median(difference)),
        "quantile_95": float(np.quantile(difference, 0.95)),
        "other_result": int(labels.sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--data", type=Path, required=True, help="folder with class folders")
    parser.add_argument("--originals", type=Path, help="folder of films as published")
    parser.add_argument("--json", type=Path, required=True, help="file to write")
    args = parser.parse_args()
    found = bundle.read(args.bundle)
    films = films_of(args.data)
    result: dict[str, Any] = {"n": len(films), "rows": counted(found, films)}
    if args.originals:
        result["originals"] = squashed_or_not(found, films_of(args.originals))
        print(json.dumps(result["originals"]))
    args.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
