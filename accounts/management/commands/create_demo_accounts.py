import secrets
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from accounts import roles, services
from accounts.models import User

DEMO_ACCOUNTS = (
    ("doctor@example.org", "王怡君", roles.DOCTOR),
    ("doctor2@example.org", "Chen Wei-Lun", roles.DOCTOR),
    ("supervisor@example.org", "林淑芬", roles.SUPERVISOR),
    ("ml@example.org", "Tsai Ming-Han", roles.ML_STAFF),
)


class Command(BaseCommand):
    help = (
        "Create two doctors, a supervisor and an ML engineer with random passwords and print them "
        "once. Existing accounts keep their passwords. For local use only."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        if not getattr(settings, "DEMO_ACCOUNTS", False):
            raise CommandError(
                "Demo accounts are only available with local settings. "
                "Use `manage.py createsuperuser` instead."
            )
        for email, name, role in DEMO_ACCOUNTS:
            if User.objects.filter(email=email).exists():
                shown = "(password unchanged)"
            else:
                password = secrets.token_urlsafe(12)
                services.create_account(
                    email=email,
                    display_name=name,
                    password=password,
                    role=role,
                    hospital="Demo Hospital",
                    department="Radiology",
                )
                shown = self.style.SUCCESS(password)
            self.stdout.write(f"  {role:<11} {email:<24} {shown}")
        self.stdout.write(
            "  Passwords are shown only once. To set a new one: "
            ".venv/bin/python manage.py changepassword EMAIL"
        )
