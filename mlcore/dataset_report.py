"""An audit of a data set as one HTML file that needs no network.

The file shows patients' X-rays, so it says so at the top and only its owner may read it.
"""

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.template.loader import render_to_string
from PIL import Image

from mlcore.engine.data.dataset import LABELS, Manifest
from mlcore.engine.films.film import FilmError, read_film
from xraysite.common.atomic_write import write_atomically

THUMBNAIL_SIDE = 180
MAX_SHOWN = 40
Audit = Mapping[str, Any]

_SHORTCUTS = {
    "frame": "The outer 11 % of each side, in a 36×36 grid, by a logistic regression that never "
    "saw the patient",
    "grey_mean": "Mean grey level of the film",
    "grey_spread": "Standard deviation of its grey levels",
    "aspect": "Aspect ratio, width / height",
    "pixels": "Number of pixels",
}
# Geometry of a histogram in pixels.
_BIN, _BAR, _HEIGHT, _LEFT, _TOP = 62, 20, 160, 44, 12


def write(path: Path, manifest: Manifest, audit: Audit) -> None:
    """Write the report, completely or not at all, readable by its owner only (mode 0600).

    Raises:
        OSError: the file cannot be written.
    """
    write_atomically(path, render(manifest, audit).encode())


def render(manifest: Manifest, audit: Audit) -> str:
    """Return the report as HTML.

    Args:
        manifest: the data set; films in question are read again for their thumbnails.
        audit: the result of `audit.audited`.
    """
    context = {
        "audit": audit,
        "labels": LABELS,
        "verdict": _verdict(audit),
        "patients": _patients(audit),
        "tables": {
            "findings": _findings(audit),
            "splits": _splits(audit),
            "films_per_patient": table(
                "Patients by number of films",
                ("Films", "Patients"),
                audit["films_per_patient"]["patients_by_films"].items(),
            ),
            "shortcuts": _shortcuts(audit),
            "sizes": table(
                "Width × height in pixels",
                ("Size", "Films", *LABELS),
                (
                    (entry["size"], entry["films"], *(entry[label] for label in LABELS))
                    for entry in audit["sizes"]["commonest"]
                ),
            ),
        },
        "evidence": _evidence(audit, manifest.root),
        "histograms": {
            "sizes": [
                histogram("Long side in pixels", audit["sizes"]["long_side"]),
                histogram("Aspect ratio, width / height", audit["sizes"]["aspect"]),
            ],
            "grey": [
                histogram("Mean grey level, 0 black to 255 white", audit["grey"]["mean"]),
                histogram("Standard deviation of the grey levels", audit["grey"]["spread"]),
            ],
        },
    }
    return render_to_string("mlcore/dataset_report/report.html", context)


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> dict[str, Any]:
    """Return the context of a table whose first column names its rows."""
    return {
        "caption": caption,
        "head": head,
        "rows": [[row[0], *map(_cell, row[1:])] for row in rows],
    }


def _cell(value: Any) -> dict[str, Any]:
    if not isinstance(value, int | float):
        return {"text": value, "is_number": False}
    if isinstance(value, int):
        text = f"{value:,}"
    elif math.isnan(value):
        text = "undefined"
    else:
        text = f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}"
    return {"text": text, "is_number": True}


def _verdict(audit: Audit) -> str:
    if set(audit["counts"]) == {""}:
        return "The folders state no split, so nothing can leak between splits."
    leaked = sum(len(audit["leaks"][kind]) for kind in ("patients", "exact", "near"))
    return f"The splits leak: {leaked} findings." if leaked else "No leaks between the splits."


def _findings(audit: Audit) -> dict[str, Any]:
    leaks, copies = audit["leaks"], audit["duplicates"]
    leaked = sum(len(leaks[kind]) for kind in ("patients", "exact", "near"))
    rows = (
        ("Leaks between splits", leaked, "must be zero"),
        ("Duplicates with two labels", len(audit["label_conflicts"]), "one label is wrong"),
        ("Possibly not radiographs", len(audit["suspects"]), "check each; all are kept"),
        ("Unreadable files", len(audit["unreadable"]), "excluded from everything else"),
        ("Pairs of exact duplicates", copies["exact_pairs"], "one film counts twice"),
        ("Pairs of near-duplicates", copies["near_pairs"], "kept in one split by training"),
        (
            "AUC of the frame alone",
            audit["shortcuts"]["frame"]["auc"],
            "0.5 is ideal; the closer to 1, the stronger the shortcut",
        ),
    )
    return table("Findings", ("Finding", "Value", "Meaning"), rows)


def _splits(audit: Audit) -> dict[str, Any]:
    rows = (
        (
            split or "no split",
            *(counts[label] for label in LABELS),
            sum(counts.values()),
            *(f"{audit['shares'][split][label]:.1%}" for label in LABELS),
        )
        for split, counts in audit["counts"].items()
    )
    head = ("Split", *LABELS, "Films", *(f"fraction {label}" for label in LABELS))
    return table("Films by split and class", head, rows)


def _patients(audit: Audit) -> str:
    per = audit["films_per_patient"]
    return (
        f"{audit['films']:,} films of {audit['patients']:,} patients, derived from the file names. "
        f"Maximum {per['max']} films of one patient ({per['max_patient']}), "
        f"median {per['median']:g}."
    )


def _evidence(audit: Audit, root: Path) -> list[dict[str, Any]]:
    """Return the sections that list files: leaks, conflicts, duplicates, suspects, unreadable."""
    leaks, copies = audit["leaks"], audit["duplicates"]
    unreadable = [(entry["path"], entry["reason"]) for entry in audit["unreadable"]]
    return [
        {
            "title": "Leaks between splits",
            "is_empty": not leaks["found"],
            "explanation": (
                f"In more than one split: {len(leaks['patients'])} patients, "
                f"{len(leaks['exact'])} pairs of exact duplicates, {len(leaks['near'])} of "
                "near-duplicates. Metrics measured on these splits are too optimistic."
            ),
            "names": leaks["patients"][:MAX_SHOWN],
            "groups": [_pairs(root, [*leaks["exact"], *leaks["near"]])],
        },
        {
            "title": "Duplicates with two labels",
            "is_empty": not audit["label_conflicts"],
            "explanation": "The same film has both labels; one of them is wrong.",
            "groups": [_pairs(root, [entry["films"] for entry in audit["label_conflicts"]])],
        },
        {
            "title": "Duplicates",
            "is_empty": not (copies["exact"] or copies["near"]),
            "explanation": (
                "Exact duplicates agree in every pixel. Near-duplicates agree in at least 250 of "
                "256 bits of a hash that is robust to rescaling, compression and brightness."
            ),
            "groups": [
                _pairs(root, copies[kind], title)
                for kind, title in (("exact", "Exact"), ("near", "Near"))
                if copies[kind]
            ],
        },
        {
            "title": "Possibly not radiographs",
            "is_empty": not audit["suspects"],
            "explanation": "Detected from the pixels and kept in the data set: check each file.",
            "groups": [_suspects(root, audit["suspects"])],
        },
        {
            "title": "Unreadable files",
            "is_empty": not unreadable,
            "explanation": "These files are excluded from everything else.",
            "table": table("Excluded files", ("File", "Reason"), unreadable),
        },
    ]


def _pairs(root: Path, pairs: Sequence[Sequence[str]], title: str = "") -> dict[str, Any]:
    shown = [[_film(root, path) for path in pair] for pair in pairs[:MAX_SHOWN]]
    return {"title": title, "entries": shown, "omitted": max(0, len(pairs) - MAX_SHOWN)}


def _suspects(root: Path, suspects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    shown = [
        [_film(root, entry["path"], "; ".join(reason["reason"] for reason in entry["reasons"]))]
        for entry in suspects[:MAX_SHOWN]
    ]
    return {"entries": shown, "omitted": max(0, len(suspects) - MAX_SHOWN)}


def _film(root: Path, path: str, note: str = "") -> dict[str, Any]:
    return {"path": path, "name": Path(path).name, "note": note, "image": _thumbnail(root / path)}


def _thumbnail(path: Path) -> dict[str, Any] | None:
    """Return a reduced film as a data URI with its size, None if it can no longer be read."""
    try:
        image = Image.fromarray(read_film(path.read_bytes()).pixels)
    except (FilmError, OSError):
        return None
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=70)
    data = base64.b64encode(buffer.getvalue()).decode()
    return {
        "uri": f"data:image/jpeg;base64,{data}",
        "width": image.width,
        "height": image.height,
    }


def _shortcuts(audit: Audit) -> dict[str, Any]:
    rows = []
    for name, what in _SHORTCUTS.items():
        figure = audit["shortcuts"][name]
        if name == "frame":
            low, high = figure["auc_ci"]
            note = "" if math.isnan(low) else f"95 % confidence interval {low:.3f} to {high:.3f}"
        else:
            note = f"higher in {figure['higher_in']}" if figure["higher_in"] else "uninformative"
        rows.append((what, figure["auc"], note))
    return table("Area under the ROC curve", ("Feature", "AUC", "Note"), rows)


def histogram(title: str, figure: Mapping[str, Any]) -> dict[str, Any]:
    """Return the context of a histogram by class: bars, a summary and the counts.

    Args:
        title: the quantity and its unit.
        figure: `from` (lower limits of the bins), `counts` and `summary` by label.
    """
    lowest = figure["from"]
    shares = {
        label: [count / max(1, sum(counts)) for count in counts]
        for label, counts in figure["counts"].items()
    }
    used = [i for i in range(len(lowest)) if any(shares[label][i] for label in LABELS)]
    bins = range(used[0], used[-1] + 1)
    names = [_bin_name(lowest, i) for i in bins]
    counts = (
        (name, *(figure["counts"][label][i] for label in LABELS))
        for name, i in zip(names, bins, strict=True)
    )
    keys = ("mean", "deviation", "p5", "median", "p95")
    summary = ((label, *(figure["summary"][label][key] for key in keys)) for label in LABELS)
    head = ("Class", "Mean", "Standard deviation", "5th percentile", "Median", "95th percentile")
    return {
        "title": title,
        "summary": table(f"{title}: summary", head, summary),
        "counts": table(title, ("Bin", *LABELS), counts),
        **_bars(names, [[shares[label][i] for label in LABELS] for i in bins]),
    }


def _bin_name(lowest: Sequence[float], index: int) -> str:
    is_last = index + 1 == len(lowest)
    return f"{lowest[index]:g}+" if is_last else f"{lowest[index]:g}–{lowest[index + 1]:g}"


def _bars(names: Sequence[str], shares: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Return positions and sizes of the bars in the SVG, whose tallest bar fills the height."""
    width = _LEFT + _BIN * len(names) + 8
    top = max(map(max, shares))
    lines = [
        {
            "x1": _LEFT,
            "x2": width - 8,
            "y": f"{_TOP + _HEIGHT * (1 - level):.1f}",
            "text_x": _LEFT - 6,
            "text_y": f"{_TOP + _HEIGHT * (1 - level) + 4:.1f}",
            "text": f"{level * top:.0%}",
        }
        for level in (0.0, 0.5, 1.0)
    ]
    bars = [
        {
            "number": number,
            "x": _LEFT + _BIN * place + 11 + _BAR * number,
            "y": f"{_TOP + _HEIGHT * (1 - share / top):.1f}",
            "height": f"{_HEIGHT * share / top:.1f}",
            "title": f"{LABELS[number]}, {names[place]}: {share:.1%}",
        }
        for place, pair in enumerate(shares)
        for number, share in enumerate(pair)
    ]
    middles = [
        {"x": _LEFT + _BIN * place + 30, "y": _HEIGHT + 28, "text": name}
        for place, name in enumerate(names)
    ]
    return {
        "width": width,
        "height": _HEIGHT + 36,
        "lines": lines,
        "bars": bars,
        "names": middles,
    }
