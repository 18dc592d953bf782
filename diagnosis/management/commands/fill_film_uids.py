from collections.abc import Iterable

from diagnosis.management.backfill import BackfillCommand
from diagnosis.services import film_uids


class Command(BackfillCommand):
    help = (
        "Store the DICOM UIDs of X-rays that were read before they were stored, so that other "
        "systems find them under their own study. Can be stopped and run again. X-rays that are "
        "missing or altered are listed and left as they are."
    )
    done = "file(s) looked through"

    def fill(self, *, limit: int | None) -> Iterable[tuple[str, object | None]]:
        return film_uids.fill_missing(limit=limit)
