from collections.abc import Iterable

from diagnosis.management.backfill import BackfillCommand
from diagnosis.services import film_hashes


class Command(BackfillCommand):
    help = (
        "Store the hash of the pixels of X-rays that were read before it was stored, so that "
        "copies of a picture in different files are recognised. Can be stopped and run again. "
        "X-rays that are missing or altered are listed and left as they are."
    )
    done = "file(s) hashed"

    def fill(self, *, limit: int | None) -> Iterable[tuple[str, object | None]]:
        return film_hashes.hash_missing(limit=limit)
