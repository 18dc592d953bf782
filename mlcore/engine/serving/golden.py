"""Golden tests: inputs with expected outputs that verify a bundle on this machine.

The inputs are synthetic images generated from seeds, never patients' films. They pass through the
whole pipeline, including preprocessing.
"""

import base64
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from mlcore.engine.serving.bundle import GOLDEN, BundleError
from mlcore.engine.serving.pipeline import Output
from mlcore.engine.serving.runtime import OutputError

TOLERANCE = 1e-3
CASES = 4
SIDE = 160

# From (H, W) uint8 pixels to the output.
Run = Callable[[npt.NDArray[np.uint8]], Output]


def draw(seed: int, side: int = SIDE) -> npt.NDArray[np.uint8]:
    """Generate a (side, side) uint8 image: two dark ovals on a bright body, a shadow and noise."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[0:side, 0:side] / side
    picture = 150 + 60 * np.cos(np.pi * (column - 0.5)) + 30 * rng.standard_normal() * (row - 0.5)
    for centre in (0.3, 0.7):
        distance = ((column - centre) / 0.15) ** 2 + ((row - 0.5) / 0.3) ** 2
        picture -= rng.uniform(60, 120) / (1 + np.exp(8 * (distance - 1)))
    place = rng.uniform(0.25, 0.75, 2)
    patch = ((column - place[0]) ** 2 + (row - place[1]) ** 2) / rng.uniform(0.005, 0.03)
    picture += rng.uniform(0, 90) * np.exp(-patch) + 6 * rng.standard_normal((side, side))
    return np.clip(picture, 0, 255).astype(np.uint8)


def make(run: Run) -> bytes:
    """Return the content of `golden.json` for the trained networks that `run` runs."""
    cases = []
    for seed in range(CASES):
        film = draw(seed)
        output = run(film)
        box = {} if output.lungs is None else {"lungs": list(output.lungs.box)}
        cases.append(
            box
            | {
                "film_png": base64.b64encode(_png(film)).decode(),
                "probability": output.probability,
                "scope_score": output.scope_score,
                "activation_map": np.round(output.activation_map.astype(float), 6).tolist(),
            }
        )
    return json.dumps({"tolerance": TOLERANCE, "cases": cases}).encode()


def _png(film: npt.NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(film).save(buffer, "PNG")
    return buffer.getvalue()


def check(folder: Path, run: Run) -> float:
    """Run every golden input and compare the outputs with the expected ones.

    Args:
        folder: the bundle's folder.
        run: the networks to check.

    Returns:
        The largest difference, relative to the expected value or 1, whichever is larger.

    Raises:
        BundleError: an output differs by more than the tolerance, there are no golden inputs, or
            they cannot be read.
    """
    try:
        golden = json.loads((folder / GOLDEN).read_bytes())
        differences = [_check_case(case, run) for case in golden["cases"]]
    except (OutputError, OSError, ValueError, KeyError, TypeError) as error:
        raise BundleError(f"The golden inputs cannot be evaluated: {error!r}") from error
    worst = max(differences, default=np.inf)
    if not worst <= TOLERANCE:
        raise BundleError(
            f"The network's outputs differ from the golden outputs by {worst:.2g} "
            f"(tolerance {TOLERANCE:g})."
        )
    return worst


def _check_case(case: Mapping[str, Any], run: Run) -> float:
    data = base64.b64decode(case["film_png"])
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        film = np.asarray(image, np.uint8)
    return max(_differences(case, run(film)))


def _differences(case: Mapping[str, Any], output: Output) -> list[float]:
    expected_map = np.asarray(case["activation_map"], np.float64)
    if expected_map.shape != output.activation_map.shape:
        return [np.inf]
    pairs = [
        (output.probability, case["probability"]),
        (output.scope_score, case["scope_score"]),
        (output.activation_map, expected_map),
    ]
    if output.lungs is not None:
        pairs.append((np.asarray(output.lungs.box), case["lungs"]))
    return [_difference(np.asarray(found), np.asarray(expected)) for found, expected in pairs]


def _difference(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> float:
    return float(np.max(np.abs(found - expected) / np.maximum(1, np.abs(expected))))
