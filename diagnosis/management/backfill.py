"""Commands that go through the X-rays of earlier readings and store what was not stored then."""

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand, CommandError


class BackfillCommand(BaseCommand):
    """Goes through X-rays until all are done, or as many as `--limit` says.

    Attributes:
        verb: what is done with a file, for `--limit`.
        done: what was done, for the summary, such as "file(s) hashed".
    """

    verb = "decode"
    done = ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--limit", type=int, default=None, help=f"number of files to {self.verb}; default: all"
        )

    def fill(self, *, limit: int | None) -> Iterable[tuple[str, object | None]]:
        """Yield what names each file, and what is wrong with it, or None."""
        raise NotImplementedError

    def handle(self, *args: Any, **options: Any) -> None:
        limit = options["limit"]
        if limit is not None and limit < 1:
            raise CommandError(f"--limit must be at least 1. Received: {limit}.")
        done = failed = 0
        for name, error in self.fill(limit=limit):
            if error is None:
                done += 1
            else:
                failed += 1
                self.stderr.write(f"{name}: {error}")
        self.stdout.write(f"{done} {self.done}, {failed} could not be read.")
