from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from xraysite.backup import making
from xraysite.backup.ciphers import Age, Plain
from xraysite.backup.errors import BackupError
from xraysite.backup.repository import Repository


class Command(BaseCommand):
    help = (
        "Back up the database, X-rays, images and trained models into a folder while the site "
        "runs. Files that an earlier backup in the folder has are not copied again. SECRET_KEY is "
        "not contained: keep it elsewhere. Exits with status 1 if an X-ray of a reading is missing "
        "or damaged, or if the backup could not be made."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of the backups")
        parser.add_argument(
            "--recipient",
            action="append",
            default=[],
            metavar="AGE1…",
            help="encrypt to this public key with the program age; may be repeated",
        )
        parser.add_argument(
            "--identity",
            type=Path,
            metavar="FILE",
            help="the private key; --keep and --verify need it for an encrypted backup",
        )
        parser.add_argument(
            "--keep",
            type=int,
            metavar="N",
            help="then delete all but the newest N backups of the folder (default: keep all)",
        )
        parser.add_argument(
            "--verify", action="store_true", help="read every file of the new backup again"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        keep = options["keep"]
        if keep is not None and keep < 1:
            raise CommandError(f"--keep takes a number of at least 1. Received: {keep}.")
        try:
            encrypts = bool(options["recipient"])
            cipher = (
                Age(recipients=options["recipient"], identity=options["identity"])
                if encrypts
                else Plain()
            )
            repository = Repository(options["folder"], cipher)
            made = making.back_up(repository, verify=options["verify"])
            self._report(made, repository)
            if keep is not None:
                old, objects = repository.prune(keep)
                self.stdout.write(f"{old} old backup(s) and {objects} file(s) deleted.")
        except (BackupError, OSError) as error:
            raise CommandError(f"The backup was not completed. {error}") from error
        if made.manifest.missing:
            raise CommandError(
                f"{len(made.manifest.missing)} X-ray(s) of readings are missing or damaged and "
                "are not in the backup. Run `manage.py fsck`."
            )

    def _report(self, made: making.Made, repository: Repository) -> None:
        database = made.manifest.database
        rows = sum(database.rows.values())
        total = sum(made.manifest.objects.values()) / 2**20
        self.stdout.write(f"Database: {database.engine}, {rows:,} rows.")
        self.stdout.write(
            f"Files: {len(made.manifest.files):,}, {total:,.1f} MB with the database; "
            f"{made.new:,} new, {made.new_bytes / 2**20:,.1f} MB."
        )
        self.stdout.write(f"Audit log head: {database.audit_head or 'none'}")
        for path in made.manifest.missing:
            self.stdout.write(self.style.ERROR(f"Missing or damaged: {path}"))
        self.stdout.write(f"Backup {made.time} written to {repository.folder}.")
