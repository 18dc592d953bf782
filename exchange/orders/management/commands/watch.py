"""Read the X-rays that a machine writes into a folder."""

import fcntl
import hashlib
import os
import signal
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from diagnosis.models import Team
from exchange.orders.watching.folders import Folder, Ledger
from exchange.orders.watching.watcher import Watcher
from exchange.readers import owner_of


class Command(BaseCommand):
    help = (
        "Read the X-rays that a machine writes into DIR, also on a network share, until stopped. "
        "Finished files are taken once, and moved to DIR/done or, with a text that says why, to "
        "DIR/refused. What needs patient data or a decision waits in the doctor's inbox. May be "
        "killed at any moment."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("dir", type=Path, metavar="DIR", help="the folder")
        parser.add_argument("--doctor", metavar="EMAIL", help="whose readings they become")
        parser.add_argument(
            "--team",
            metavar="NAME",
            help="which team shares them; without --doctor, its lead reads them",
        )
        parser.add_argument(
            "--keep", action="store_true", help="leave files where they are, and remember them"
        )
        parser.add_argument(
            "--state",
            type=Path,
            metavar="FILE",
            help="where --keep remembers them (default: in the site's own folder)",
        )
        parser.add_argument(
            "--interval", type=float, default=5, metavar="SECONDS", help="between looks"
        )
        parser.add_argument(
            "--settle",
            type=float,
            default=10,
            metavar="SECONDS",
            help="take a file when it has not changed for so long (default: 10)",
        )
        parser.add_argument(
            "--once", action="store_true", help="end when every file is done with, for cron"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        root: Path = options["dir"].absolute()
        if not root.is_dir():
            raise CommandError(f"No such folder: {root}.")
        if options["interval"] <= 0 or options["settle"] < 0:
            raise CommandError("--interval and --settle take seconds.")

        def owner() -> tuple[User, Team | None]:
            return owner_named(options["doctor"], options["team"])

        try:
            owner()
        except PermissionDenied as error:
            raise CommandError(str(error)) from error
        own = settings.VAR_DIR / "watch"
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
        state = options["state"] or own / f"{key}.json"
        watcher = Watcher(
            folder=Folder(root, options["settle"]),
            owner=owner,
            ledger=Ledger(state) if options["keep"] else None,
            worker=f"watch-{key}",
            interval_s=options["interval"],
            once=options["once"],
        )
        settings.BATCH_THREAD = False  # without workers, this process itself reads the files
        with alone(own / f"{key}.lock"), stopped_by_signals(watcher):
            counts = watcher.run()
        self.stdout.write(f"{counts}.")


def owner_named(email: str | None, team_name: str | None) -> tuple[User, Team | None]:
    """Return the doctor who reads the files, and the team that shares them.

    Raises:
        CommandError: no doctor or team was named, or there is none of this name.
        PermissionDenied: the doctor may not read X-rays, or is no member of the team.
    """
    if not email and not team_name:
        raise CommandError("Say whose readings they become: --doctor EMAIL or --team NAME.")
    doctor = User.objects.filter(email__iexact=email).first() if email else None
    if email and doctor is None:
        raise CommandError(f"There is no account {email}.")
    team = Team.objects.filter(name=team_name).first() if team_name else None
    if team_name and team is None:
        raise CommandError(f"There is no team {team_name!r}.")
    owner = owner_of(doctor, team)
    if owner is None:
        raise PermissionDenied("The doctor may not read X-rays, or is no member of the team.")
    return owner, team


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process watch a folder; the lock ends with the process, however it ends.

    Raises:
        CommandError: another process watches it.
    """
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CommandError("Another process watches this folder.") from error
        yield


@contextmanager
def stopped_by_signals(watcher: Watcher) -> Iterator[None]:
    """Let the file at hand be finished when the process is asked to end."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        signal.signal(number, lambda *_: watcher.stopped.set())
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
