from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from xraysite.backup import restoring
from xraysite.backup.ciphers import Age, Plain
from xraysite.backup.errors import BackupError
from xraysite.backup.manifests import Manifest
from xraysite.backup.repository import Repository


class Command(BaseCommand):
    help = (
        "Restore a backup that `manage.py backup` made. Verifies every file of it before anything "
        "is changed. Stop the server first. Refuses a site that has accounts, readings or X-rays, "
        "unless --force is given: an SQLite database is then moved aside, and one of PostgreSQL is "
        "replaced."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="DIR", help="the folder of the backups")
        parser.add_argument(
            "--at", metavar="TIME", help="the backup to restore (default: the newest)"
        )
        parser.add_argument("--list", action="store_true", help="only list the backups")
        parser.add_argument("--verify-only", action="store_true", help="only verify the backup")
        parser.add_argument(
            "--identity", type=Path, metavar="FILE", help="the private key of an encrypted backup"
        )
        parser.add_argument(
            "--force", action="store_true", help="restore into a site that is not empty"
        )
        parser.add_argument(
            "--any-key",
            action="store_true",
            help="restore although this site does not have the SECRET_KEY of the backup",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            cipher = Age(identity=options["identity"]) if options["identity"] else Plain()
            repository = Repository(options["folder"], cipher)
            times = repository.times()
            if options["list"]:
                for time in times:
                    self.stdout.write(time)
                return
            time = self._chosen(times, options)
            self._restore(repository, time, options)
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from error

    def _chosen(self, times: list[str], options: dict[str, Any]) -> str:
        if not times:
            encrypted = any(options["folder"].glob("backups/*.age"))
            other = " that is not encrypted. Pass the private key: --identity FILE" if (
                encrypted and not options["identity"]
            ) else ""  # fmt: skip
            raise CommandError(f"{options['folder']} contains no backup{other}.")
        time = options["at"] or times[-1]
        if time not in times:
            raise CommandError(f"There is no backup {time}. There are: {', '.join(times)}.")
        return str(time)

    def _restore(self, repository: Repository, time: str, options: dict[str, Any]) -> None:
        manifest = repository.read_manifest(time, any_key=options["any_key"])
        self.stdout.write(f"Verifying {len(manifest.objects):,} files of backup {time} ...")
        restoring.verify(repository, manifest)
        self.stdout.write("Every file is intact.")
        if options["verify_only"]:
            return
        if not options["force"] and not restoring.is_empty_site():
            raise CommandError(
                "This site has accounts, readings or X-rays. Nothing was changed. Restore into an "
                "empty site, or pass --force to replace its database."
            )
        done = restoring.restore(repository, manifest)
        self._report(done, manifest)

    def _report(self, done: restoring.Restored, manifest: Manifest) -> None:
        self.stdout.write(f"Files: {done.files:,} restored, {done.kept:,} were there already.")
        rows = sum(manifest.database.rows.values())
        self.stdout.write(f"Database: {rows:,} rows restored.")
        if done.aside:
            self.stdout.write(f"The earlier database was moved to {done.aside}.")
        for path in manifest.missing:
            self.stdout.write(self.style.ERROR(f"Not in the backup: {path}"))
        self.stdout.write("Next, with the server still stopped:")
        head = manifest.database.audit_head
        for command in ("migrate", f"verify_audit --head {head}" if head else "", "fsck"):
            if command:
                self.stdout.write(f"  manage.py {command}")
