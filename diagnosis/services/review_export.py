"""De-identified export of films with their doctors' labels, as a data set for training.

A film gets the class of its confirmed diagnosis or, without one, of the signed opinion. The folder
is made beside its final place and renamed when it is complete. Until then it holds the list of
which reading became which file, so that an interrupted export can go on; nothing of that list is
left in the finished folder.
"""

import csv
import hashlib
import io
import json
import logging
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from django.db.models import Q

from accounts.audit import recording
from diagnosis.models import Label, Reading, Verdict
from diagnosis.services.films import FilmMissingError, original_film
from mlcore.decoding import decode_film
from mlcore.engine.films.film import FilmError
from mlcore.engine.films.redaction import render_redacted
from xraysite.common.atomic_write import write_atomically

logger = logging.getLogger(__name__)

CLASSES = (Verdict.NORMAL.value, Verdict.PNEUMONIA.value)
STATE = ".export.json"
# Older patients are so few that an exact age could identify them.
OLDEST_AGE = 90
FILMS_OF_A_PATIENT = 1000
RECORD_SIZE = 500
COLUMNS = (
    "file", "class", "patient", "age_years", "sex", "class_from", "confirmed_by", "findings",
    "confidence", "first_opinion", "blind_first", "model", "model_result", "width", "height",
    "sha256",
)  # fmt: skip
README = """\
X-rays exported from xraysite for training. Films: {films}.

NORMAL and PNEUMONIA hold the films as 8-bit greyscale PNG files in full size, drawn again from the
pixels: no metadata of the uploaded files is left. manifest.csv and manifest.json describe each
file. The class is the confirmed diagnosis or, without one, the doctor's signed opinion
("class_from"); an opinion was signed with the model's result in view unless "blind_first" says
that a first opinion came before.

De-identified: patients have random numbers (the first part of a file's name), made for this export
alone. There are no names, patient numbers, dates, doctors, hospitals or free text. Ages are in
completed years, {oldest} for older patients.

NOT removed: text that is burned into the image, such as a name at its edge, cannot be found with
certainty. Look at every film before it leaves the hospital.

Left out: {left_out}.
"""


class ExportError(Exception):
    """Raised when the folder cannot be used; the message says what to do."""


@dataclass
class Exported:
    """What an export did.

    Attributes:
        films: exported films by class.
        left_out: readings that were left out, by reason.
    """

    films: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Chosen:
    reading: Reading
    label: str
    class_from: str


def export_reviews(
    out: Path, *, with_refused: bool = False, on_film: Callable[[int, int], None] | None = None
) -> Exported:
    """Export every film with a class, or go on with an export that was interrupted.

    Args:
        out: the folder to make; it must not exist. The export is made in `<out>.part`.
        with_refused: also export films that the model declined as out of scope.
        on_film: called after each film with the number done and the number in all.

    Raises:
        ExportError: `out` exists, or `<out>.part` is not an interrupted export.
        OSError: a file cannot be written.
    """
    if out.exists():
        raise ExportError(f"{out} exists already. Choose another folder.")
    part = out.with_name(f"{out.name}.part")
    if _is_complete(part):
        return _finished(part, out)
    exported = Exported()
    chosen = _chosen(exported, with_refused=with_refused)
    names = _named(part, chosen)
    rows = []
    for done, row in enumerate(_written(part, chosen, names, exported), start=1):
        if row is not None:
            rows.append(row)
        if on_film is not None:
            on_film(done, len(chosen))
    _remove_others(part, {row["file"] for row in rows})
    _describe(part, rows, exported)
    (part / STATE).unlink()
    return _finished(part, out)


def _is_complete(part: Path) -> bool:
    """Return whether only the renaming of the folder is left to do."""
    return (part / "manifest.json").exists() and not (part / STATE).exists()


def _finished(part: Path, out: Path) -> Exported:
    stored = json.loads((part / "manifest.json").read_text())
    part.rename(out)
    films = Counter(film["class"] for film in stored["films"])
    return Exported(films, Counter(stored["left_out"]))


def _chosen(exported: Exported, *, with_refused: bool) -> list[_Chosen]:
    """Return the readings to export, one for each picture, and count those left out."""
    readings = Reading.objects.counted().select_related("review", "diagnosis", "model_version")
    readings = readings.filter(Q(review__isnull=False) | Q(diagnosis__isnull=False))
    pictures: dict[str, list[_Chosen]] = defaultdict(list)
    for reading in readings.defer("activation_map", "model_version__card").order_by("pk"):
        label, class_from = _class_of(reading)
        reason = _reason_against(reading, label, with_refused=with_refused)
        if reason:
            exported.left_out[reason] += 1
        else:
            key = reading.film_pixels_sha256 or reading.film_sha256
            pictures[key].append(_Chosen(reading, label, class_from))
    return list(_one_each(pictures, exported))


def _class_of(reading: Reading) -> tuple[str, str]:
    """Return the class, "" without one, and what it is taken from."""
    if (diagnosis := getattr(reading, "diagnosis", None)) is not None:
        return diagnosis.value, "confirmed diagnosis"
    review = getattr(reading, "review", None)
    return (review.verdict, "signed opinion") if review and review.is_signed else ("", "")


def _reason_against(reading: Reading, label: str, *, with_refused: bool) -> str:
    """Return why a reading is left out, "" if it is not."""
    if reading.withheld or not label:
        return "no signed opinion"
    if label not in CLASSES:
        return "neither normal nor pneumonia"
    if reading.discrepancies or reading.header_disowned:
        return "file and form disagreed, or the X-ray is stored under several patients"
    if reading.label == Label.OUT_OF_SCOPE and not with_refused:
        return "declined by the model as out of scope"
    return ""


def _one_each(pictures: dict[str, list[_Chosen]], exported: Exported) -> Iterator[_Chosen]:
    for same in pictures.values():
        if len({each.label for each in same}) > 1:
            exported.left_out["the same picture has both classes"] += len(same)
            continue
        exported.left_out["the same picture again"] += len(same) - 1
        yield same[0]


def _named(part: Path, chosen: list[_Chosen]) -> dict[str, str]:
    """Return the file's name of each reading, random; those of an interrupted export are kept."""
    state = part / STATE
    names: dict[str, str] = {}
    patients: dict[str, str] = {}
    part.mkdir(exist_ok=True)
    if any(not path.name.startswith(".part-") for path in part.iterdir()):
        try:
            stored = json.loads(state.read_text())
            names, patients = stored["names"], stored["patients"]
        except (OSError, ValueError, KeyError) as error:
            raise ExportError(f"{part} is not an interrupted export. Move it away.") from error
    taken = set(patients.values())
    films = Counter(name.partition("_")[0] for name in names.values())
    # In a random order, so that numbers say nothing about when a film was read.
    for each in secrets.SystemRandom().sample(chosen, len(chosen)):
        key = _patient_key(each.reading)
        if str(each.reading.pk) in names:
            continue
        if key not in patients or films[patients[key]] >= FILMS_OF_A_PATIENT:
            patients[key] = _new_number(taken)
        number = patients[key]
        names[str(each.reading.pk)] = f"{number}_{films[number]:03d}.png"
        films[number] += 1
    content = json.dumps({"names": names, "patients": patients})
    write_atomically(state, content.encode())
    for label in CLASSES:
        (part / label).mkdir(exist_ok=True)
    return names


def _patient_key(reading: Reading) -> str:
    """Return a key of the reading's patient: the number or, without one, the name."""
    number = reading.patient_number_key
    text = f"number:{number}" if number else f"name:{reading.patient_name_key}"
    return hashlib.sha256(text.encode()).hexdigest()


def _new_number(taken: set[str]) -> str:
    while True:
        number = f"{secrets.randbelow(10**8):08d}"
        if number not in taken:
            taken.add(number)
            return number


def _written(
    part: Path, chosen: list[_Chosen], names: dict[str, str], exported: Exported
) -> Iterator[dict[str, Any] | None]:
    """Write each film that is not there yet; yield its row, None if it is missing."""
    waiting = iter(chosen)
    while some := list(islice(waiting, RECORD_SIZE)):
        # Recorded before the files exist, so that an export that breaks off is on record too.
        recording.record_shown(
            Reading, [each.reading.pk for each in some], what="reviews-exported", about=part.stem
        )
        for each in some:
            name = names[str(each.reading.pk)]
            path = part / each.label / name
            if not path.exists():
                try:
                    film = decode_film(original_film(each.reading), in_turn=False)
                except (FilmMissingError, FilmError) as error:
                    logger.warning("Reading %s is not exported: %s", each.reading.pk, error)
                    exported.left_out["the X-ray is missing or cannot be read"] += 1
                    yield None
                    continue
                side = max(film.width, film.height)
                write_atomically(path, render_redacted(film, [], max_side=side))
            yield _row(each, path, name)


def _row(each: _Chosen, path: Path, name: str) -> dict[str, Any]:
    reading = each.reading
    review = getattr(reading, "review", None)
    diagnosis = getattr(reading, "diagnosis", None)
    first = reading.opinions.filter(stage="FIRST").first() if reading.blind_first else None
    return {
        "file": f"{each.label}/{name}",
        "class": each.label,
        "patient": name.partition("_")[0],
        "age_years": min(OLDEST_AGE, reading.patient_age_years),
        "sex": reading.patient_sex,
        "class_from": each.class_from,
        "confirmed_by": diagnosis.source if diagnosis else "",
        # Without the words that a doctor typed, which may name somebody.
        "findings": " ".join(one["code"] for one in review.findings) if review else "",
        "confidence": review.confidence if review else "",
        "first_opinion": first.verdict if first else "",
        "blind_first": "yes" if reading.blind_first else "no",
        "model": reading.model_name,
        "model_result": reading.label,
        "width": reading.film_width,
        "height": reading.film_height,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def _remove_others(part: Path, kept: set[str]) -> None:
    """Remove films of an interrupted export that no longer belong to it."""
    for label in CLASSES:
        for path in (part / label).iterdir():
            if f"{label}/{path.name}" not in kept:
                path.unlink()
    for path in part.glob(".part-*"):
        path.unlink()


def _describe(part: Path, rows: list[dict[str, Any]], exported: Exported) -> None:
    rows.sort(key=lambda row: row["file"])
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    left = [f"{reason}: {n}" for reason, n in sorted(exported.left_out.items()) if n]
    words = README.format(films=len(rows), oldest=OLDEST_AGE, left_out="; ".join(left) or "none")
    document = {"version": 1, "films": rows, "left_out": +exported.left_out}
    write_atomically(part / "manifest.csv", text.getvalue().encode())
    write_atomically(part / "manifest.json", json.dumps(document, indent=1).encode())
    write_atomically(part / "README.txt", words.encode())


__all__ = ["ExportError", "Exported", "export_reviews"]
