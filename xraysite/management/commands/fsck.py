import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from xraysite.fsck.checks import run_all
from xraysite.fsck.findings import Finding, Run


class Command(BaseCommand):
    help = (
        "Check everything that the site stores: database, audit log, models and their bundles, "
        "X-rays and renderings of every reading, files without a row, images, and modes. Exits "
        "with status 1 if something is wrong and was not repaired. The site may run meanwhile."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--repair",
            action="store_true",
            help=(
                "repair what can be repaired without losing anything: make renderings again, put "
                "X-rays back from quarantine, set aside those without a reading, remove temporary "
                "files, close files to other users"
            ),
        )
        parser.add_argument(
            "--quick", action="store_true", help="compare sizes of X-rays instead of reading them"
        )
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        run = Run(repair=options["repair"], quick=options["quick"])
        findings = []
        for finding in run_all(run):
            findings.append(finding)
            if not options["json"]:
                self._print(finding)
        left = [finding for finding in findings if not finding.repaired]
        if options["json"]:
            report = {
                "ok": not left,
                "checked": dict(run.checked),
                "notes": dict(run.notes),
                "findings": [asdict(finding) for finding in findings],
            }
            self.stdout.write(json.dumps(report, indent=2, ensure_ascii=False))
        else:
            self._summarise(run, findings)
        if left:
            raise CommandError(f"{len(left)} finding(s) need attention.")

    def _print(self, finding: Finding) -> None:
        style = self.style.SUCCESS if finding.repaired else self.style.ERROR
        state = "repaired" if finding.repaired else finding.code
        self.stdout.write(style(f"{state}: {finding.subject}: {finding.text}"))

    def _summarise(self, run: Run, findings: list[Finding]) -> None:
        checked = ", ".join(f"{count:,} {kind}" for kind, count in run.checked.items())
        self.stdout.write(f"Checked: {checked}.")
        for kind, count in run.notes.items():
            self.stdout.write(f"Note: {count:,} {kind}.")
        repaired = sum(finding.repaired for finding in findings)
        self.stdout.write(f"{len(findings)} finding(s), {repaired} repaired.")
