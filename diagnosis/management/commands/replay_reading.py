from argparse import ArgumentParser
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from diagnosis.models import Reading
from diagnosis.services.films import FilmMissingError
from diagnosis.services.replay import replay
from mlcore import inference


class Command(BaseCommand):
    help = (
        "Run the model that made a reading on its stored film again, and check that film, model "
        "and result are unchanged. The exit status is 1 if they are not."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("uuid", type=UUID, help="id of the reading")

    def handle(self, *args: Any, **options: Any) -> None:
        reading = Reading.objects.select_related("model_version").filter(pk=options["uuid"]).first()
        if reading is None:
            raise CommandError(f"There is no reading {options['uuid']}.")
        try:
            differences = replay(reading)
        except FilmMissingError as error:
            raise CommandError("The film is missing from storage or has been altered.") from error
        except inference.ModelUnavailable as error:
            raise CommandError(_why_unavailable(reading, error)) from error
        if differences:
            raise CommandError("The result differs from the stored one: " + "; ".join(differences))
        self.stdout.write("Film, model and result are unchanged.")


def _why_unavailable(reading: Reading, error: inference.ModelUnavailable) -> str:
    name = reading.model_version.name
    if error.code == "missing":
        return f"{name}, the model that made this reading, is no longer installed: {error.detail}"
    return f"{name}, the model that made this reading, cannot be used: {error}"
