from argparse import ArgumentParser
from itertools import chain
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from diagnosis import storage, sweeping
from diagnosis.batches import ending
from diagnosis.services import pending

OLDER = (
    "The database seems to be older than the X-ray storage: the readings of {lost} X-ray(s) are "
    "missing from it. Its newest row is of {newest}. No X-ray was set aside. Restore "
    "the newest database, or run this command with --force to set aside X-rays whose readings are "
    "lost for good."
)


class Command(BaseCommand):
    help = (
        "Set aside X-rays without a reading, and remove unfinished files, temporary files of "
        "uploads, and uploads that wait for their doctor's decisions, once they are older than an "
        "hour. Crashes, full disks and closed browsers leave such files. X-rays are moved to the "
        "folder quarantine/ of the X-ray storage, by date, and can be put back. Also removes "
        "X-rays of batches that waited for their doctor for BATCH_KEEP_DAYS."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--dry-run", action="store_true", help="list the files without changing anything"
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="set X-rays aside even if the database seems to be older than they are",
        )
        parser.add_argument(
            "--put-back",
            action="store_true",
            help="only move every X-ray in quarantine back to its place",
        )
        parser.add_argument(
            "--purge-quarantine",
            type=int,
            metavar="DAYS",
            help="delete X-rays that were set aside DAYS days ago or earlier (default: never)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        days = options["purge_quarantine"]
        if days is not None and days < 0:
            raise CommandError(f"--purge-quarantine takes a number of days. Received: {days}.")
        if options["put_back"]:
            self._put_back(every=True)
            return
        if not options["dry_run"]:
            self._end_batches()
        self._remove_temporary(dry_run=options["dry_run"])
        if not options["dry_run"]:
            self._put_back(every=False)
        self._set_aside(dry_run=options["dry_run"], force=options["force"])
        if days is not None and not options["dry_run"]:
            purged = list(sweeping.purge_quarantine(days=days))
            self.stdout.write(f"{len(purged)} X-ray(s) deleted from the quarantine.")

    def _remove_temporary(self, *, dry_run: bool) -> None:
        found = 0
        for upload in sweeping.abandoned_uploads():
            if not dry_run:
                upload.unlink(missing_ok=True)
            found += 1
            self.stdout.write(upload.name)
        for file in chain(pending.expired(), ending.leftovers()):
            if not dry_run:
                storage.remove([file.name])
            found += 1
            self.stdout.write(file.filename)
        done = "would be removed" if dry_run else "removed"
        self.stdout.write(f"{found} temporary file(s) {done}.")

    def _end_batches(self) -> None:
        """Remove X-rays of batches that nobody attended to; their rows tell the doctor."""
        ended = sum(ending.expire(item) for item in ending.expired())
        forgotten = ending.forget_old()
        if ended or forgotten:
            self.stdout.write(
                f"{ended} X-ray(s) removed that waited for patient data or a decision for "
                f"{settings.BATCH_KEEP_DAYS} days; {forgotten} row(s) of old batches deleted."
            )

    def _put_back(self, *, every: bool) -> None:
        waiting = sweeping.quarantined()
        done = [file for file in waiting if sweeping.put_back(file, even_without_reading=every)]
        for file in done:
            self.stdout.write(file.filename)
        if waiting:
            left = len(waiting) - len(done)
            self.stdout.write(f"{len(done)} X-ray(s) put back, {left} left in quarantine.")

    def _set_aside(self, *, dry_run: bool, force: bool) -> None:
        orphans = sweeping.find_orphans()
        lost = [orphan for orphan in orphans if orphan.is_lost]
        if lost and not force:
            for orphan in lost:
                self.stdout.write(f"{orphan.name} (its reading is missing)")
            newest = sweeping.newest_row()
            raise CommandError(
                OLDER.format(lost=len(lost), newest=newest or "no time: it is empty")
            )
        films = others = 0
        for orphan in orphans:
            if dry_run or sweeping.remove_orphan(orphan):
                films += orphan.is_film
                others += not orphan.is_film
                self.stdout.write(orphan.name)
        aside, removed = ("would be set aside", "would be removed") if dry_run else (
            "set aside in quarantine", "removed"
        )  # fmt: skip
        self.stdout.write(f"{films} X-ray(s) {aside}, {others} other file(s) {removed}.")
