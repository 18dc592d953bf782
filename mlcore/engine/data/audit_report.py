"""An audit as one HTML file that needs no network: tables, histograms, and the films in question.

The file shows patients' films, so it says so on top, and only its owner may read it.
"""

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from mlcore.engine.data.audit_style import STYLE
from mlcore.engine.data.dataset import LABELS, Manifest
from mlcore.engine.films.film import FilmError, read_film
from xraysite.common.atomic_write import write_atomically

THUMBNAIL_SIDE = 180
SHOWN = 40
Audit = Mapping[str, Any]

_SHORTCUTS = {
    "frame": "The outer 11 % of each side, in a 36×36 grid, by a logistic regression that never "
    "saw the patient",
    "grey_mean": "Mean grey level of the film",
    "grey_spread": "Standard deviation of its grey levels",
    "aspect": "Width over height",
    "pixels": "Number of pixels",
}


def write(path: Path, manifest: Manifest, audit: Audit) -> None:
    """Write the report, whole or not at all, for its owner's eyes alone (mode 600).

    Raises:
        OSError: it cannot be written.
    """
    write_atomically(path, render(manifest, audit).encode())


def render(manifest: Manifest, audit: Audit) -> str:
    """Return the report.

    Args:
        manifest: the data set; films in question are read again for their thumbnails.
        audit: of `audit.audited`.
    """
    sections = (
        _verdict(audit), _films(audit), _leaks(audit, manifest.root),
        _conflicts(audit, manifest.root), _copies(audit, manifest.root),
        _suspects(audit, manifest.root), _unreadable(audit), _shortcuts(audit), _sizes(audit),
        _grey(audit),
    )  # fmt: skip
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex, noarchive">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Audit of a data set of chest films</title>
<style>{STYLE}</style>
</head>
<body>
<aside class="warning" aria-label="Confidential">
<p><strong>Confidential: this file shows patients' films.</strong>
Do not send it, publish it or commit it to a repository. Delete it when you are done.</p>
</aside>
<main>
<h1>Audit of a data set</h1>
<p class="quiet">{escape(audit["data"])}<br>manifest <code>{audit["manifest_sha256"]}</code></p>
{"".join(sections)}
</main>
</body>
</html>
"""


def _section(title: str, *content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{''.join(content)}</section>\n"


def _paragraph(text: str) -> str:
    return f"<p>{escape(text)}</p>\n"


def _table(caption: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table whose first column names its rows; numbers stand right."""
    cells = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(_row(row) for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}">'
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>\n"
    )


def _row(row: Sequence[Any]) -> str:
    first, *others = row
    cells = "".join(
        f'<td class="number">{_number(value)}</td>'
        if isinstance(value, int | float)
        else f"<td>{escape(str(value))}</td>"
        for value in others
    )
    return f'<tr><th scope="row">{escape(str(first))}</th>{cells}</tr>'


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if math.isnan(value):
        return "undefined"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}"


def _verdict(audit: Audit) -> str:
    leaks, copies = audit["leaks"], audit["duplicates"]
    leaked = sum(len(leaks[kind]) for kind in ("patients", "exact", "near"))
    frame = audit["shortcuts"]["frame"]["auc"]
    findings = (
        ("Leaks between splits", leaked, "must be none"),
        ("Copies under two labels", len(audit["label_conflicts"]), "one label of each is wrong"),
        ("Suspects: maybe no radiographs", len(audit["suspects"]), "look at each; all are kept"),
        ("Unreadable files", len(audit["unreadable"]), "left out of everything else"),
        ("Pairs of exact copies", copies["exact_pairs"], "count one film twice"),
        ("Pairs of near-copies", copies["near_pairs"], "kept on one side by our split"),
        ("AUC of the frame alone", frame, "0.5 is right; the nearer to 1, the more is given away"),
    )  # fmt: skip
    said = f"The splits leak: {leaked} findings." if leaked else "Nothing leaks between the splits."
    if set(audit["counts"]) == {""}:
        said = "No split is stated, so nothing can leak between splits."
    return _section(
        "In short",
        f'<p class="{"bad" if leaked else "good"}">{said}</p>\n',
        _table("Findings", ("Finding", "Figure", "What it means"), findings),
    )


def _films(audit: Audit) -> str:
    rows = [
        (split or "no split stated", *(counts[label] for label in LABELS), sum(counts.values()),
         *(f"{audit['shares'][split][label]:.1%}" for label in LABELS))
        for split, counts in audit["counts"].items()
    ]  # fmt: skip
    head = ("Split", *LABELS, "Films", *(f"share {label}" for label in LABELS))
    per = audit["films_per_patient"]
    return _section(
        "Films and patients",
        _table("Films by split and class", head, rows),
        _paragraph(
            f"{audit['films']:,} films of {audit['patients']:,} patients, as file names tell them. "
            f"At most {per['max']} films of one patient ({per['max_patient']}), "
            f"{per['median']:g} in the middle."
        ),
        _table(
            "Patients by how many films they have",
            ("Films", "Patients"),
            per["patients_by_films"].items(),
        ),
    )


def _leaks(audit: Audit, root: Path) -> str:
    leaks = audit["leaks"]
    if not leaks["found"]:
        return _section("Leaks between splits", _paragraph("None."))
    patients = [f"<li>{escape(patient)}</li>" for patient in leaks["patients"][:SHOWN]]
    return _section(
        "Leaks between splits",
        _paragraph(
            f"On two sides: patients {len(leaks['patients'])}, pairs of exact copies "
            f"{len(leaks['exact'])}, of near-copies {len(leaks['near'])}. Figures measured on "
            "these splits are too good."
        ),
        f"<p>Patients on two sides:</p>\n<ul>{''.join(patients)}</ul>\n" if patients else "",
        _more(len(leaks["patients"]), "patients"),
        _pairs(root, [*leaks["exact"], *leaks["near"]], "pairs across splits"),
    )


def _conflicts(audit: Audit, root: Path) -> str:
    conflicts = audit["label_conflicts"]
    if not conflicts:
        return _section("The same film under two labels", _paragraph("None."))
    return _section(
        "The same film under two labels",
        _paragraph("A model is told two things of one film; one of them is wrong."),
        _pairs(root, [entry["films"] for entry in conflicts], "conflicts"),
    )


def _copies(audit: Audit, root: Path) -> str:
    copies = audit["duplicates"]
    if not copies["exact"] and not copies["near"]:
        return _section("Copies", _paragraph("None."))
    return _section(
        "Copies",
        _paragraph(
            "Exact copies agree in every pixel. Near-copies agree in at least 250 of 256 bits of "
            "a hash that survives rescaling, compression and a change of brightness."
        ),
        "<h3>Exact</h3>\n" if copies["exact"] else "",
        _pairs(root, copies["exact"], "exact pairs"),
        "<h3>Near</h3>\n" if copies["near"] else "",
        _pairs(root, copies["near"], "near pairs"),
    )


def _suspects(audit: Audit, root: Path) -> str:
    suspects = audit["suspects"]
    if not suspects:
        return _section("Suspects: maybe no radiographs", _paragraph("None."))
    items = []
    for entry in suspects[:SHOWN]:
        reasons = "; ".join(reason["reason"] for reason in entry["reasons"])
        items.append(f"<li>{_figure(root, entry['path'], reasons)}</li>")
    return _section(
        "Suspects: maybe no radiographs",
        _paragraph("Told by pixels alone, and left in the data set: look at each yourself."),
        f'<ul class="films">{"".join(items)}</ul>\n',
        _more(len(suspects), "suspects"),
    )


def _unreadable(audit: Audit) -> str:
    if not audit["unreadable"]:
        return _section("Unreadable files", _paragraph("None."))
    rows = ((entry["path"], entry["reason"]) for entry in audit["unreadable"])
    return _section("Unreadable files", _table("Files left out", ("File", "Why"), rows))


def _pairs(root: Path, pairs: Sequence[Sequence[str]], what: str) -> str:
    items = "".join(
        f'<li class="pair">{"".join(_figure(root, path) for path in pair)}</li>'
        for pair in pairs[:SHOWN]
    )
    return (f'<ul class="films">{items}</ul>\n' if items else "") + _more(len(pairs), what)


def _more(count: int, what: str) -> str:
    return _paragraph(f"{SHOWN} of {count} {what} are shown.") if count > SHOWN else ""


def _figure(root: Path, path: str, note: str = "") -> str:
    caption = f"<code>{escape(path)}</code>" + (f"<br>{escape(note)}" if note else "")
    return f"<figure>{_thumbnail(root / path)}<figcaption>{caption}</figcaption></figure>"


def _thumbnail(path: Path) -> str:
    try:
        image = Image.fromarray(read_film(path.read_bytes()).pixels)
    except (FilmError, OSError):
        return "<p>It can no longer be read.</p>"
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=70)
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<img src="data:image/jpeg;base64,{data}" width="{image.width}" height="{image.height}" '
        f'alt="Film {escape(path.name)}, reduced">'
    )


def _shortcuts(audit: Audit) -> str:
    rows = []
    for name, what in _SHORTCUTS.items():
        figure = audit["shortcuts"][name]
        if name == "frame":
            low, high = figure["auc_ci"]
            said = "" if math.isnan(low) else f"95 % interval {low:.3f} to {high:.3f}"
        else:
            said = f"higher in {figure['higher_in']}" if figure["higher_in"] else "tells nothing"
        rows.append((what, figure["auc"], said))
    return _section(
        "What gives the class away",
        _paragraph(
            "How well the classes are told apart by what shows no lung. 0.5 is chance, 1 is "
            "always. A model can learn these instead of the disease, and will then fail on films "
            "drawn, exposed or cropped otherwise."
        ),
        _table("Area under the ROC curve", ("Seen alone", "AUC", "Note"), rows),
    )


def _sizes(audit: Audit) -> str:
    sizes = audit["sizes"]
    rows = [
        (entry["size"], entry["films"], *(entry[label] for label in LABELS))
        for entry in sizes["commonest"]
    ]
    return _section(
        "Sizes",
        _paragraph(f"{sizes['distinct']} different sizes; the commonest are:"),
        _table("Width x height in pixels", ("Size", "Films", *LABELS), rows),
        _histogram("Long side, pixels", sizes["long_side"]),
        _histogram("Width over height", sizes["aspect"]),
    )


def _grey(audit: Audit) -> str:
    return _section(
        "Grey levels",
        _paragraph("Where the classes differ here, exposure gives the class away."),
        _histogram("Mean grey level, 0 black to 255 white", audit["grey"]["mean"]),
        _histogram("Standard deviation of the grey levels", audit["grey"]["spread"]),
    )


def _histogram(title: str, figure: Mapping[str, Any]) -> str:
    """Bars of each class's share of films by bin, with the counts in a table beneath."""
    lowest = figure["from"]
    shares = {label: _of_whole(figure["counts"][label]) for label in LABELS}
    used = [i for i in range(len(lowest)) if any(shares[label][i] for label in LABELS)]
    bins = range(used[0], used[-1] + 1)
    names = [_bin_name(lowest, i) for i in bins]
    rows = [
        (name, *(figure["counts"][label][i] for label in LABELS))
        for name, i in zip(names, bins, strict=True)
    ]
    summary = [
        (label, *(figure["summary"][label][key] for key in ("mean", "deviation", "p5", "median",
                                                            "p95")))
        for label in LABELS
    ]  # fmt: skip
    bars = [tuple(shares[label][i] for label in LABELS) for i in bins]
    return (
        f"<h3>{escape(title)}</h3>\n{_bars(title, names, bars)}"
        + _table(
            f"{title}: summary",
            ("Class", "Mean", "Deviation", "5 % below", "Median", "95 % below"),
            summary,
        )
        + f"<details><summary>Films in each bin</summary>{_table(title, ('Bin', *LABELS), rows)}"
        "</details>\n"
    )


def _of_whole(counts: Sequence[int]) -> list[float]:
    return [count / max(1, sum(counts)) for count in counts]


def _bin_name(lowest: Sequence[float], index: int) -> str:
    last = index + 1 == len(lowest)
    return f"{lowest[index]:g}+" if last else f"{lowest[index]:g}–{lowest[index + 1]:g}"


def _bars(title: str, names: Sequence[str], bars: Sequence[tuple[float, ...]]) -> str:
    step, height, left = 62, 160, 44
    width = left + step * len(names) + 8
    top = max(max(pair) for pair in bars)
    parts = []
    for line in (0.0, 0.5, 1.0):
        y = 12 + height * (1 - line)
        parts.append(f'<line x1="{left}" x2="{width - 8}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4}" class="end">{line * top:.0%}</text>')
    for place, (name, pair) in enumerate(zip(names, bars, strict=True)):
        for number, share in enumerate(pair):
            tall = height * share / top
            x = left + step * place + 11 + 20 * number
            parts.append(
                f'<rect class="class{number}" x="{x}" y="{12 + height - tall:.1f}" width="18" '
                f'height="{tall:.1f}"><title>{LABELS[number]}, {escape(name)}: {share:.1%}</title>'
                "</rect>"
            )
        x = left + step * place + 30
        parts.append(f'<text x="{x}" y="{height + 28}" class="middle">{escape(name)}</text>')
    legend = "".join(
        f'<span><i class="class{number}"></i>{label}</span>' for number, label in enumerate(LABELS)
    )
    return (
        f'<p class="legend" aria-hidden="true">{legend} (share of each class)</p>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Histogram: {escape(title)}">'
        f'<svg role="img" aria-label="{escape(title)} by class; the table below has the figures" '
        f'width="{width}" height="{height + 36}" viewBox="0 0 {width} {height + 36}">'
        f"{''.join(parts)}</svg></div>\n"
    )
