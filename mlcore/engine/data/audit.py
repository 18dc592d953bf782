"""Audit of a data set: content, duplicates, leaks and shortcuts.

A receipt records that a data set was audited and does not leak; training requires one. It refers
to the data set by the manifest's hash, so that any change requires a new audit.
"""

import datetime
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mlcore.engine import metrics
from mlcore.engine.data import dataset
from mlcore.engine.data.audit_films import (
    FRAME_CELLS,
    GRID,
    Measures,
    auc_either_way,
    doubts,
    frame_scores,
    frames_of,
)
from mlcore.engine.data.dataset import LABELS, FilmRecord, Leaks, Manifest
from xraysite.common.atomic_write import write_atomically

RECEIPT_VERSION = 1
# Lower limits of the histogram bins; the last bin has no upper limit.
LONG_SIDES = (0, 128, 256, 384, 512, 768, 1024, 1280, 1536, 2048, 3072)
ASPECTS = (0.0, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 3.0)
MEANS = tuple(range(0, 256, 16))
SPREADS = tuple(range(0, 128, 8))
SIZES_LISTED = 12

Progress = Callable[[str, int, int], None]


def audited(manifest: Manifest, *, on_progress: Progress | None = None) -> dict[str, Any]:
    """Audit a data set; the result is JSON-serialisable once NaN is replaced by null.

    Args:
        manifest: the result of `dataset.scan`, with measurements.
        on_progress: called with (stage, done, total).

    Returns:
        `data`, `manifest_sha256`, `films`, `patients`, `films_per_patient`, `counts` and `shares`
        (split -> label -> films, share), `duplicates`, `label_conflicts`, `leaks`, `unreadable`,
        `suspects`, `sizes`, `grey` and `shortcuts` (AUC of features outside the lungs, NaN with too
        few patients). `docs/auditing.md` explains each.
    """
    say = on_progress or (lambda stage, done, total: None)
    measured = [manifest.measures[film.path] for film in manifest.films]
    say("Comparing films", 0, 2)
    near = dataset.near_duplicates(manifest.films)
    leaks = dataset.find_leaks(manifest)
    say("Comparing films", 1, 2)
    found = {
        "data": str(manifest.root),
        "manifest_sha256": manifest.sha256(),
        "films": len(manifest.films),
        "patients": len({film.patient for film in manifest.films}),
        "films_per_patient": _films_per_patient(manifest.films),
        "counts": manifest.counts(),
        "shares": _shares(manifest.counts()),
        **_copies(manifest.films, near),
        "unreadable": [
            {"path": entry.path, "code": entry.code, "reason": entry.reason}
            for entry in manifest.unreadable
        ],
        "suspects": _suspects(manifest.films, measured),
        "sizes": _sizes(manifest.films, measured),
        "grey": _grey(manifest.films, measured),
        "leaks": _leaks(leaks),
        "shortcuts": _shortcuts(manifest.films, measured),
    }
    say("Comparing films", 2, 2)
    return found


def _films_per_patient(films: Sequence[FilmRecord]) -> dict[str, Any]:
    per_patient = Counter(film.patient for film in films)
    patient, most = max(per_patient.items(), key=lambda entry: (entry[1], entry[0]))
    tally = Counter(per_patient.values())
    return {
        "max": most,
        "max_patient": patient,
        "median": float(np.median(list(per_patient.values()))),
        "patients_by_films": {str(count): tally[count] for count in sorted(tally)},
    }


def _shares(counts: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, float]]:
    return {
        split: {label: count / sum(of.values()) for label, count in of.items()}
        for split, of in counts.items()
    }


def _leaks(leaks: Leaks) -> dict[str, Any]:
    return {
        "found": bool(leaks),
        "patients": list(leaks.patients),
        "exact": [list(pair) for pair in leaks.exact],
        "near": [list(pair) for pair in leaks.near],
    }


def _copies(films: Sequence[FilmRecord], near: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """Return every pair of copies, and those with two labels."""
    pairs: dict[str, list[list[str]]] = {"exact": [], "near": []}
    conflicts = []
    for left, right in ((films[i], films[j]) for i, j in near):
        kind = "exact" if left.pixels_sha256 == right.pixels_sha256 else "near"
        pairs[kind].append([left.path, right.path])
        if left.label != right.label:
            conflicts.append({"kind": kind, "films": [left.path, right.path],
                              "labels": [left.label, right.label]})  # fmt: skip
    counted = {f"{kind}_pairs": len(found) for kind, found in pairs.items()}
    return {"duplicates": counted | pairs, "label_conflicts": conflicts}


def _suspects(films: Sequence[FilmRecord], measured: Sequence[Measures]) -> list[dict[str, Any]]:
    found = []
    for film, measures in zip(films, measured, strict=True):
        if reasons := doubts(measures):
            listed = [{"code": doubt.code, "reason": doubt.reason} for doubt in reasons]
            found.append({"path": film.path, "label": film.label, "reasons": listed})
    return found


def _sizes(films: Sequence[FilmRecord], measured: Sequence[Measures]) -> dict[str, Any]:
    names = [f"{entry.width}x{entry.height}" for entry in measured]
    common = Counter(names).most_common(SIZES_LISTED)
    by_label = Counter(zip(names, (film.label for film in films), strict=True))
    return {
        "distinct": len(set(names)),
        "commonest": [
            {"size": name, "films": count, **{label: by_label[name, label] for label in LABELS}}
            for name, count in common
        ],
        "long_side": _distribution(films, [max(m.width, m.height) for m in measured], LONG_SIDES),
        "aspect": _distribution(films, [m.aspect for m in measured], ASPECTS),
    }


def _grey(films: Sequence[FilmRecord], measured: Sequence[Measures]) -> dict[str, Any]:
    return {
        "mean": _distribution(films, [m.mean for m in measured], MEANS),
        "spread": _distribution(films, [m.spread for m in measured], SPREADS),
    }


def _distribution(
    films: Sequence[FilmRecord], values: Sequence[float], lowest: Sequence[float]
) -> dict[str, Any]:
    """Return a histogram and summary of a quantity by label; `from` are lower limits."""
    counts, summary = {}, {}
    array = np.asarray(values, np.float64)
    bins = [*lowest, math.inf]
    for label in LABELS:
        members = array[[film.label == label for film in films]]
        counts[label] = np.histogram(members, bins)[0].tolist()
        low, median, high = np.percentile(members, (5, 50, 95))
        summary[label] = {
            "mean": float(members.mean()),
            "deviation": float(members.std()),
            "p5": float(low),
            "median": float(median),
            "p95": float(high),
        }
    return {"from": list(lowest), "counts": counts, "summary": summary}


def _shortcuts(films: Sequence[FilmRecord], measured: Sequence[Measures]) -> dict[str, Any]:
    """Return the AUC of features outside the lungs."""
    labels = np.array([LABELS.index(film.label) for film in films])
    groups = np.array(dataset.groups(films))
    scores, folds = frame_scores(frames_of(measured), labels, groups)
    frame: dict[str, Any] = {"auc": math.nan, "auc_ci": metrics.NAN_INTERVAL}
    if folds:
        frame = {"auc": metrics.auc(labels, scores), "auc_ci": metrics.auc_interval(labels, scores)}
    frame |= {"folds": folds, "grid": GRID, "frame_share": FRAME_CELLS / GRID}
    figures: dict[str, list[float]] = {
        "grey_mean": [m.mean for m in measured],
        "grey_spread": [m.spread for m in measured],
        "aspect": [m.aspect for m in measured],
        "pixels": [m.width * m.height for m in measured],
    }
    single = {name: auc_either_way(labels, values) for name, values in figures.items()}
    for entry in single.values():
        if entry["higher_in"] is not None:
            entry["higher_in"] = LABELS[entry["higher_in"]]
    return {"frame": frame, **single}


def receipt_path(folder: Path, manifest: Manifest) -> Path:
    """Return the path of a data set's receipt."""
    return folder / f"{manifest.sha256()}.json"


def write_receipt(folder: Path, manifest: Manifest, audit: Mapping[str, Any]) -> Path:
    """Write the receipt of an audit; it contains no names of films or patients.

    Args:
        folder: folder of receipts; created if missing.
        manifest: the audited data set.
        audit: the result of `audited`.

    Raises:
        ValueError: the audit is of another data set, or found a leak.
        OSError: the file cannot be written.
    """
    if audit["manifest_sha256"] != manifest.sha256():
        raise ValueError("The audit is of another data set.")
    if audit["leaks"]["found"]:
        raise ValueError("A data set with leaks gets no receipt.")
    receipt = {
        "version": RECEIPT_VERSION,
        "manifest_sha256": audit["manifest_sha256"],
        "audited": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "films": audit["films"],
        "patients": audit["patients"],
        "unreadable": len(audit["unreadable"]),
        "suspects": len(audit["suspects"]),
        "label_conflicts": len(audit["label_conflicts"]),
    }
    path = receipt_path(folder, manifest)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomically(path, f"{json.dumps(receipt, indent=2)}\n".encode(), mode=0o644)
    return path


def has_receipt(folder: Path, manifest: Manifest) -> bool:
    """Return whether exactly this data set was audited without leaks.

    Receipts that are unreadable, of another version or of another data set do not count.
    """
    try:
        receipt = json.loads(receipt_path(folder, manifest).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return (
        isinstance(receipt, dict)
        and receipt.get("version") == RECEIPT_VERSION
        and receipt.get("manifest_sha256") == manifest.sha256()
    )
