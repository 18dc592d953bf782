"""X-rays and their renderings: missing, damaged, another film's, or without a reading."""

import hashlib
from collections.abc import Iterator
from itertools import chain

from diagnosis import sealed_jpeg, storage, sweeping
from diagnosis.batches import ending
from diagnosis.film_storage import StoredFile
from diagnosis.models import Reading
from diagnosis.services import films, pending
from exchange.incoming import handing
from xraysite.fsck.findings import Finding, Run

SIDES = (films.VIEWER_SIDE, films.THUMBNAIL_SIDE)
RESTORE = "Restore it from a backup, or upload the same file again."


def readings_have_films(run: Run) -> Iterator[Finding]:
    """Check the film and the renderings of every reading."""
    quarantined = {file.filename: file for file in sweeping.quarantined()}
    rows = Reading.objects.order_by("film_sha256").values_list("film_sha256", "film_bytes")
    for sha256, size in rows.distinct().iterator(chunk_size=2000):
        run.checked["films"] += 1
        name = storage.original_name(sha256)
        state = _state(name, sha256, size if run.quick else None)
        if state:
            yield _of_film(run, sha256, state, quarantined.get(sha256))
        yield from _renderings(run, sha256)


def _state(name: str, sha256: str, size: int | None) -> str:
    """Return "missing", "damaged" or ""; compare only the size if it is given."""
    try:
        if size is not None:
            file = storage.films().find(name)
            return "missing" if file is None else "" if file.size == size else "damaged"
        content = storage.read(name)
    except OSError:
        return "damaged"
    if content is None:
        return "missing"
    return "" if hashlib.sha256(content).hexdigest() == sha256 else "damaged"


def _of_film(run: Run, sha256: str, state: str, aside: StoredFile | None) -> Finding:
    readings = Reading.objects.filter(film_sha256=sha256).count()
    text = f"The X-ray of {readings} reading(s) is {state}."
    if aside is None or _state(aside.name, sha256, None):
        return Finding(f"film-{state}", sha256, f"{text} {RESTORE}")
    if not run.repair:
        return Finding(f"film-{state}", sha256, f"{text} It is in quarantine: run with --repair.")
    done = sweeping.put_back(aside)
    return Finding(f"film-{state}", sha256, f"{text} It was put back from quarantine.", done)


def _renderings(run: Run, sha256: str) -> Iterator[Finding]:
    faults, outdated = [], False
    for side in SIDES:
        name = storage.rendering_name(sha256, side)
        try:
            content = storage.read(name)
            if content is not None:
                sealed_jpeg.opened(content, source=sha256, side=side)
                run.checked["renderings"] += 1
        except sealed_jpeg.UnsealedError:
            outdated = True
            run.notes["renderings of an earlier version"] += 1
        except (OSError, sealed_jpeg.BrokenSealError) as error:
            faults.append((name, str(error)))
    done = False
    if run.repair and (faults or outdated):
        done = _render_again(sha256)
    for name, fault in faults:
        text = f"The rendering cannot be used ({fault}); it is made again when it is viewed."
        yield Finding("rendering-damaged", name, text, done)


def _render_again(sha256: str) -> bool:
    reading = Reading.objects.filter(film_sha256=sha256).first()
    try:
        if reading is not None:
            films.render_again(reading)
    except films.FilmMissingError:
        return False
    return all(films.stored_rendering(sha256, side) is not None for side in SIDES)


def films_have_readings(run: Run) -> Iterator[Finding]:
    """Check for files without a reading, and for temporary files that nobody needs any more."""
    orphans = sweeping.find_orphans()
    is_lost = any(orphan.is_lost for orphan in orphans)
    for orphan in orphans:
        if orphan.is_lost:
            text = "Its reading is missing from the database: restore the newest database."
            yield Finding("reading-lost", orphan.name, text)
        elif orphan.is_film:
            text = "It belongs to no reading; --repair and sweep_films move it to the quarantine."
            done = run.repair and not is_lost and sweeping.remove_orphan(orphan)
            yield Finding("film-without-reading", orphan.name, text, done)
        else:
            text = "It is unfinished or belongs to no reading; --repair and sweep_films remove it."
            done = run.repair and not is_lost and sweeping.remove_orphan(orphan)
            yield Finding("file-without-reading", orphan.name, text, done)
    text = "An upload that was interrupted or never decided; sweep_films removes it."
    for path in sweeping.abandoned_uploads():
        if run.repair:
            path.unlink(missing_ok=True)
        yield Finding("temporary-file", str(path), text, run.repair)
    for file in chain(pending.expired(), ending.leftovers()):
        if run.repair:
            storage.remove([file.name])
        yield Finding("temporary-file", file.name, text, run.repair)
    if waiting := len(sweeping.quarantined()):
        run.notes["X-rays in quarantine"] += waiting


def batches_have_films(run: Run) -> Iterator[Finding]:
    """Check that the X-rays of batches that have not been read yet are in the storage."""
    for item in ending.missing():
        if run.repair:
            ending.note_missing(item)
        text = "An X-ray of a batch is missing; --repair asks its doctor to send it again."
        yield Finding("batch-film-missing", str(item.pk), text, run.repair)


def arrivals_have_films(run: Run) -> Iterator[Finding]:
    """Check that the X-rays from machines that have not been read yet are in the storage."""
    for arrival in handing.missing():
        if run.repair:
            handing.note_missing(arrival)
        text = (
            "An X-ray from a machine is missing; --repair asks supervisors to have it sent again."
        )
        yield Finding("arrival-film-missing", str(arrival.pk), text, run.repair)
    for file in handing.leftovers():
        if run.repair:
            storage.remove([file.name])
        text = "A file of a machine that was read or never confirmed; sweep_arrivals removes it."
        yield Finding("temporary-file", file.name, text, run.repair)
