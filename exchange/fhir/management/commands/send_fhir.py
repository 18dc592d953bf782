"""Send results to FHIR servers that are due."""

from typing import Any

from django.core.management.base import BaseCommand

from exchange.fhir.queueing import send_due


class Command(BaseCommand):
    """Sends what waits, for sites without workers or after a failure."""

    help = "Send the results that wait for FHIR servers."

    def handle(self, *args: Any, **options: Any) -> None:
        """Send what is due."""
        self.stdout.write(f"{send_due()} results tried.")
