"""Remove uploaded images that were never posted; run it once a day."""

from typing import Any

from django.core.management.base import BaseCommand

from forum import pictures


class Command(BaseCommand):
    help = (
        "Remove images that were uploaded to the discussion board more than a week ago and never "
        "posted, and image files that no row refers to. Run it once a day."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(f"{pictures.sweep()} images removed.")
