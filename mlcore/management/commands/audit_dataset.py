from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from rich.console import Console
from rich.progress import Progress, TaskID

from mlcore import dataset_report
from mlcore.engine.data import audit, dataset
from mlcore.engine.data.audit import audited
from mlcore.management.commands._common import add_ignore_folder, write_json
from mlcore.management.commands._figures import shown, undefined_printed

__all__ = ["Command", "audited", "receipts_folder"]

LISTED = 10


def receipts_folder() -> Path:
    """Return the folder of audit receipts: AUDIT_DIR, by default var/audits."""
    return Path(getattr(settings, "AUDIT_DIR", None) or settings.VAR_DIR / "audits")


class Command(BaseCommand):
    help = (
        "Audit a data set: content, suspect files, duplicates, features outside the lungs that "
        "predict the class, and leaks (a patient or a copy of a film in more than one split). "
        "Exits with status 1 on a leak; otherwise writes the receipt that train_model requires."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--data", type=Path, required=True, help="folder with class folders (required)"
        )
        add_ignore_folder(parser)
        parser.add_argument("--json", type=Path, help="file to write the audit to (default: none)")
        parser.add_argument(
            "--html",
            type=Path,
            help="file to write an HTML report to; it shows patients' X-rays (default: none)",
        )

    @undefined_printed()
    def handle(self, *args: Any, **options: Any) -> None:
        for path in (options["json"], options["html"]):
            if path is not None and not path.parent.is_dir():
                # Before the work, not after it.
                raise CommandError(f"{path} cannot be written: {path.parent} is not a folder.")
        try:
            with Progress(console=Console(stderr=True), transient=True) as bar:
                manifest, found = _audit(options["data"], options["ignore_folder"], _stages(bar))
        except (dataset.DatasetError, OSError) as error:
            raise CommandError(str(error)) from error
        self._report(found)
        if options["json"]:
            write_json(options["json"], found)
        try:
            if options["html"]:
                dataset_report.write(options["html"], manifest, found)
                self.stdout.write(
                    f"{options['html']} shows patients' X-rays: do not share it, and "
                    f"delete it later."
                )
            if not found["leaks"]["found"]:
                audit.write_receipt(receipts_folder(), manifest, found)
        except OSError as error:
            raise CommandError(f"{error.filename or ''} cannot be written: {error}") from error
        if found["leaks"]["found"]:
            raise CommandError("The splits leak: metrics on this data set would be too optimistic.")

    def _report(self, found: dict[str, Any]) -> None:
        write = self.stdout.write
        per = found["films_per_patient"]
        write(f"{found['films']} films of {found['patients']} patients in {found['data']}")
        for split, counts in found["counts"].items():
            shown = ", ".join(
                f"{label} {count} ({found['shares'][split][label]:.1%})"
                for label, count in counts.items()
            )
            write(f"  {split or 'no split stated'}: {shown}")
        write(f"  films per patient: at most {per['max']} ({per['max_patient']})")
        write(f"  copies (pairs): {found['duplicates']['exact_pairs']} exact, "
              f"{found['duplicates']['near_pairs']} near")  # fmt: skip
        self._list("same film with two labels", found["label_conflicts"], _conflict)
        self._list("unreadable", found["unreadable"], lambda e: f"{e['path']}: {e['reason']}")
        self._list("suspicious, possibly not a radiograph", found["suspects"], _suspect)
        write(f"  AUC of shortcuts without the lungs: {_shortcuts(found['shortcuts'])}")
        for kind in ("patients", "exact", "near"):
            self._list(f"leaks between splits, {kind}", found["leaks"][kind], _leak)

    def _list(self, what: str, entries: list[Any], line: Callable[[Any], str]) -> None:
        self.stdout.write(f"  {what}: {len(entries)}")
        for entry in entries[:LISTED]:
            self.stdout.write(f"    {line(entry)}")
        if len(entries) > LISTED:
            self.stdout.write(f"    and {len(entries) - LISTED} more")


def _audit(
    root: Path, ignored: list[str], say: Callable[[str, int, int], None]
) -> tuple[dataset.Manifest, dict[str, Any]]:
    manifest = dataset.scan(
        root, ignored=ignored, on_progress=lambda done, n: say("Reading films", done, n)
    )
    return manifest, audited(manifest, on_progress=say)


def _stages(bar: Progress) -> Callable[[str, int, int], None]:
    """Return a callback that shows the progress of each stage."""
    tasks: dict[str, TaskID] = {}

    def say(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bar.add_task(stage, total=total)
        bar.update(tasks[stage], completed=done, total=total)

    return say


def _conflict(entry: dict[str, Any]) -> str:
    return " = ".join(entry["films"]) + f" ({entry['kind']})"


def _suspect(entry: dict[str, Any]) -> str:
    return f"{entry['path']}: " + "; ".join(reason["reason"] for reason in entry["reasons"])


def _leak(entry: str | list[str]) -> str:
    return entry if isinstance(entry, str) else " = ".join(entry)


def _shortcuts(shortcuts: dict[str, Any]) -> str:
    names = {
        "frame": "frame alone", "grey_mean": "mean grey", "grey_spread": "spread of grey",
        "aspect": "aspect ratio", "pixels": "number of pixels",
    }  # fmt: skip
    figures = {name: shortcuts[key]["auc"] for key, name in names.items()}
    return ", ".join(f"{name} {shown(auc, 'auc', digits=3)}" for name, auc in figures.items())
