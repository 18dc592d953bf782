from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress

from mlcore.engine import dataset
from mlcore.management.commands._common import write_json

LISTED = 10


class Command(BaseCommand):
    help = (
        "Says what a data set holds and whether its splits leak: a patient, a copy or a "
        "near-copy on two sides. Exits with 1 on a leak."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--data", type=Path, required=True, help="folder of class folders")
        parser.add_argument("--json", type=Path, help="write the audit there")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with Progress(console=Console(stderr=True), transient=True) as bar:
                task = bar.add_task("Reading films", total=None)
                manifest = dataset.scan(
                    options["data"],
                    on_progress=lambda done, n: bar.update(task, completed=done, total=n),
                )
        except dataset.DatasetError as error:
            raise CommandError(str(error)) from error
        audit = audited(manifest)
        self._report(audit)
        if options["json"]:
            write_json(options["json"], audit)
        if audit["leaks"]["found"]:
            raise CommandError("The splits leak; figures measured on them would be too good.")

    def _report(self, audit: dict[str, Any]) -> None:
        write = self.stdout.write
        write(f"{audit['films']} films of {audit['patients']} patients in {audit['data']}")
        for split, counts in audit["counts"].items():
            shown = ", ".join(f"{label} {count}" for label, count in counts.items())
            write(f"  {split or 'no split stated'}: {shown}")
        write(f"  copies (pairs): {audit['duplicates']['exact_pairs']} exact, "
              f"{audit['duplicates']['near_pairs']} near")  # fmt: skip
        for entry in audit["unreadable"]:
            write(f"  unreadable: {entry['path']}: {entry['reason']}")
        for kind in ("patients", "exact", "near"):
            found = audit["leaks"][kind]
            write(f"  leaks between splits, {kind}: {len(found)}")
            for entry in found[:LISTED]:
                write(f"    {entry if isinstance(entry, str) else ' = '.join(entry)}")
            if len(found) > LISTED:
                write(f"    and {len(found) - LISTED} more")


def audited(manifest: dataset.Manifest) -> dict[str, Any]:
    """Returns what `--json` holds of a data set."""
    leaks = dataset.find_leaks(manifest)
    near = dataset.near_duplicates(manifest.films)
    exact = sum(manifest.films[i].pixels_sha256 == manifest.films[j].pixels_sha256 for i, j in near)
    return {
        "data": str(manifest.root),
        "manifest_sha256": manifest.sha256(),
        "films": len(manifest.films),
        "patients": len({film.patient for film in manifest.films}),
        "counts": manifest.counts(),
        "duplicates": {"exact_pairs": exact, "near_pairs": len(near) - exact},
        "unreadable": [
            {"path": entry.path, "code": entry.code, "reason": entry.reason}
            for entry in manifest.unreadable
        ],
        "leaks": {
            "found": bool(leaks),
            "patients": list(leaks.patients),
            "exact": [list(pair) for pair in leaks.exact],
            "near": [list(pair) for pair in leaks.near],
        },
    }
