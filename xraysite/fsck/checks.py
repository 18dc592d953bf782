"""All checks, in the order in which they run."""

from collections.abc import Iterator

from xraysite.fsck import films, images, patients, permissions, records
from xraysite.fsck.findings import Check, Finding, Run

CHECKS: tuple[Check, ...] = (
    records.database_is_whole,
    records.audit_log_is_whole,
    records.models_are_whole,
    patients.patients_are_whole,
    films.readings_have_films,
    films.films_have_readings,
    films.batches_have_films,
    films.arrivals_have_films,
    images.rows_have_images,
    images.images_have_rows,
    permissions.files_are_private,
)


def run_all(run: Run) -> Iterator[Finding]:
    """Run every check and yield what they find."""
    for check in CHECKS:
        yield from check(run)
