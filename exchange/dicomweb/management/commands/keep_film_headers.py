from collections.abc import Iterable

from diagnosis.management.backfill import BackfillCommand
from exchange.dicomweb import headers


class Command(BackfillCommand):
    help = (
        "Keep what the headers of DICOM files state, for X-rays that were read before it was kept, "
        "so that DICOMweb finds them by it and opens no files. Can be stopped and run again. "
        "X-rays that are missing or damaged are listed and left out."
    )
    verb = "open"
    done = "header(s) kept"

    def fill(self, *, limit: int | None) -> Iterable[tuple[str, object | None]]:
        for reading, is_kept in headers.keep_missing(limit=limit):
            yield str(reading.pk), None if is_kept else "the file is missing or damaged."
