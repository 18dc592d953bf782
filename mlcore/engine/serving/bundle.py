"""Bundles: trained models on disk, written atomically and verified before use.

A bundle is a folder with `model.keras`, `model.tflite`, `card.json`, `golden.json`, `history.csv`
and plots; a model that reads the lungs only has `lungs.keras` and `lungs.tflite` too. The card
contains the SHA-256 of every other file, so the SHA-256 of the card identifies the whole bundle.
Nothing in it is pickled.
"""

import hashlib
import json
import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcore.engine.serving.preprocess import LUNG_BOX
from xraysite.common.atomic_write import write_atomically

FORMAT_VERSION = 1
CARD = "card.json"
KERAS = "model.keras"
TFLITE = "model.tflite"
LUNGS_KERAS = "lungs.keras"
LUNGS_TFLITE = "lungs.tflite"
GOLDEN = "golden.json"
REQUIRED_FILES = (KERAS, TFLITE, GOLDEN)
REQUIRED_KEYS = (
    "name",
    "labels",
    "input_size",
    "preprocessing",
    "threshold",
    "calibration",
    "explanation",
    "scope",
    "population",
    "metrics",
)


class BundleError(RuntimeError):
    """Raised when a bundle is incomplete, altered or invalid."""


@dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        folder: the bundle's folder.
        card: the model card.
        sha256: SHA-256 of the card, which identifies the bundle.
        networks: content of the `.tflite` files by file name.
    """

    folder: Path
    card: dict[str, Any]
    sha256: str
    networks: dict[str, bytes]

    @property
    def name(self) -> str:
        return str(self.card["name"])


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def read(folder: Path) -> Bundle:
    """Read a bundle and verify every file listed on its card; other files are never read.

    Raises:
        FileNotFoundError: there is no bundle at `folder`.
        BundleError: a file is missing, altered or unreadable, or the card is incomplete.
    """
    card_path = folder / CARD
    if not card_path.is_file():
        raise FileNotFoundError(f"There is no bundle at {folder}: {CARD} is missing.")
    content = _read_inside(folder, CARD)
    card = _parse(content)
    files = card["files"]
    for name in _required_files(card):
        if name not in files:
            raise BundleError(f"The card does not list {name}.")
    networks = {}
    for name, sha256 in files.items():
        found = _read_inside(folder, name)
        if digest(found) != sha256:
            raise BundleError(f"{name} does not match the SHA-256 on the card.")
        if name.endswith(".tflite"):
            networks[name] = found
    return Bundle(folder=folder, card=card, sha256=digest(content), networks=networks)


def _required_files(card: Mapping[str, Any]) -> tuple[str, ...]:
    reads_lungs = card["preprocessing"].get("id") == LUNG_BOX
    return (*REQUIRED_FILES, LUNGS_KERAS, LUNGS_TFLITE) if reads_lungs else REQUIRED_FILES


def _parse(content: bytes) -> dict[str, Any]:
    try:
        card = json.loads(content)
    except ValueError as error:
        raise BundleError(f"{CARD} is not valid JSON: {error}") from error
    if not isinstance(card, dict) or card.get("format_version") != FORMAT_VERSION:
        raise BundleError(f"{CARD} must have format version {FORMAT_VERSION}.")
    missing = [key for key in (*REQUIRED_KEYS, "files") if key not in card]
    if missing:
        raise BundleError(f"{CARD} lacks {', '.join(missing)}.")
    return card


def _read_inside(folder: Path, name: str) -> bytes:
    if Path(name).name != name:
        raise BundleError(f"The card lists a file outside the bundle. Received: {name!r}.")
    try:
        return (folder / name).read_bytes()
    except FileNotFoundError as error:
        raise BundleError(f"{name} is missing.") from error
    except OSError as error:
        raise BundleError(f"{name} cannot be read: {error.strerror}.") from error


def finite(value: Any) -> Any:
    """Return `value` with every non-finite number replaced by None, for JSON."""
    if isinstance(value, dict):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write(root: Path, card: Mapping[str, Any], files: Mapping[str, bytes]) -> Bundle:
    """Write a bundle under `root`, completely or not at all.

    Args:
        root: the folder of bundles; created if missing.
        card: everything except `format_version` and `files`. Its `name` becomes the name of the
            folder; NaN becomes null.
        files: content of every file except the card, by name.

    Returns:
        The bundle, read back and verified.

    Raises:
        BundleError: a bundle with this name exists, or the card is incomplete.
    """
    target = root / card["name"]
    if target.exists():
        raise BundleError(f"A bundle named {card['name']!r} already exists in {root}.")
    whole = dict(card) | {
        "format_version": FORMAT_VERSION,
        "files": {name: digest(content) for name, content in sorted(files.items())},
    }
    text = json.dumps(finite(whole), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".part-", dir=root))
    try:
        temporary.chmod(0o755)
        for name, content in {**files, CARD: text.encode()}.items():
            write_atomically(temporary / name, content, mode=0o644)
        read(temporary)
        temporary.rename(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return read(target)


def missing_for_service(card: Mapping[str, Any]) -> list[str]:
    """Return descriptions of what a card lacks before its model may be activated."""
    threshold, calibration, scope = (
        card.get(key) or {} for key in ("threshold", "calibration", "scope")
    )
    wanted = {
        "a threshold chosen on validation data": (
            isinstance(threshold.get("value"), float) and threshold.get("chosen_on") == "validation"
        ),
        "calibration figures": (
            isinstance(calibration.get("temperature"), float)
            and isinstance(calibration.get("bias"), float)
            and isinstance(calibration.get("ece"), float)
        ),
        "a scope gate": (isinstance(scope.get("threshold"), float) and bool(scope.get("method"))),
        "the ages it was validated on": (
            len((card.get("population") or {}).get("age_years", [])) == 2
        ),
    }
    return [what for what, there in wanted.items() if not there]
