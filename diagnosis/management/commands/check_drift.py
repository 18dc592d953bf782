import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import translation

from diagnosis import drift
from mlcore.drift import ADVICE, LAST, LEAST, Report
from xraysite.common.atomic_write import write_atomically

ALARM = 1


class Command(BaseCommand):
    help = (
        "Compare the latest readings of the active model with the films that it was measured on: "
        "probabilities, scope scores, inconclusive and refused readings, and, once there are "
        "enough readings, format, exposure and position against the first ones. Uses stored "
        "results only. The exit status is 1 on an alarm."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        add = parser.add_argument
        add(
            "--last",
            type=int,
            default=LAST,
            help=f"number of readings to compare, at least {LEAST} (default: {LAST})",
        )
        add(
            "--json",
            type=Path,
            nargs="?",
            const=Path("-"),
            metavar="FILE",
            help="write the result as JSON to FILE, or to the standard output without a FILE "
            "(default: print a table)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["last"] < LEAST:
            raise CommandError(f"--last must be at least {LEAST}. Received: {options['last']}.")
        found = drift.report(last=options["last"])
        target = options["json"]
        if target is None or target != Path("-"):
            with translation.override("en"):
                self._print(found)
        if target is not None:
            self._write(target, found)
        if found.status == "alarm":
            sys.exit(ALARM)

    def _write(self, target: Path, found: Report) -> None:
        text = json.dumps(asdict(found), indent=2, ensure_ascii=False, allow_nan=False)
        if target == Path("-"):
            self.stdout.write(text)
            return
        try:
            write_atomically(target, f"{text}\n".encode(), mode=0o644)
        except OSError as error:
            raise CommandError(f"{target} cannot be written: {error}") from error

    def _print(self, found: Report) -> None:
        write = self.stdout.write
        if found.status == "no model":
            write("No model is active, so there is nothing to compare. Run activate_model first.")
        elif found.status == "too few":
            write(
                f"Too few readings by {found.model}: {found.n}, and {found.needed} are needed. "
                f"Run this again after {found.needed - found.n} more."
            )
        elif found.status == "no reference":
            write(
                f"The bundle of {found.model} has no usable predictions.csv, so its readings "
                "cannot be compared. Run verify_models."
            )
        else:
            self._print_table(found)

    def _print_table(self, found: Report) -> None:
        write = self.stdout.write
        write(
            f"{found.n} readings by {found.model} against the {found.reference_n} films that it "
            f"was measured on: {found.status}"
        )
        for change in found.changes:
            where = "first readings" if change.name in found.own else "bundle"
            write(
                f"  {'ALARM' if change.alarm else 'ok':<6} {change.name:<13} "
                f"{change.reference:8.3f} -> {change.current:8.3f}  PSI {change.psi:.3f}  "
                f"p {change.p:.2g}  (reference: {where})"
            )
        for change in found.alarms:
            write(f"{change.name}: {ADVICE[change.name]}")
        if found.missing:
            write(
                "Format, exposure and position were not compared: this takes "
                f"{found.n + LEAST} readings by this model."
            )
