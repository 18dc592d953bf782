"""Print readings as FHIR R4 Bundles."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.audit.recording import record_shown
from diagnosis.models import Reading
from exchange.fhir.bundles import document, transaction
from exchange.fhir.loading import stored_record
from exchange.fhir.parameters import key_of


class Command(BaseCommand):
    """Prints the transaction Bundle of each reading, one per line."""

    help = "Print the FHIR R4 transaction Bundle of each reading, one per line."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("readings", nargs="+", metavar="READING", help="id of a reading")
        parser.add_argument("--pdf", action="store_true", help="with the report's PDF")
        parser.add_argument("--indent", action="store_true", help="for people to read")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the Bundles.

        Raises:
            CommandError: an id is of no reading, or of a deleted one; nothing is printed.
        """
        found = [self._record(text) for text in options["readings"]]
        keys = [record.reading.pk for record in found]
        record_shown(Reading, keys, what="fhir-exported", about="export_fhir")
        for record in found:
            pdf = document(record) if options["pdf"] and record.has_answer else None
            bundle = transaction(record, pdf=pdf)
            indent = 2 if options["indent"] else None
            self.stdout.write(json.dumps(bundle, ensure_ascii=False, indent=indent))

    def _record(self, text: str) -> Any:
        key = key_of(text)
        record = stored_record(key) if key else None
        if record is None or record.reading.is_hidden:
            raise CommandError(f"There is no reading with this id. Received: {text!r}.")
        return record
