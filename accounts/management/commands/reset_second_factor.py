import argparse
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from accounts.two_factor import reset_second_factor


class Command(BaseCommand):
    help = (
        "Remove all second factors of an account whose owner has lost them. Staff must "
        "set up a new "
        "one at their next sign-in. Verify first that the request really comes from the owner."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("email", help="email address of the account")
        parser.add_argument(
            "--by",
            required=True,
            metavar="EMAIL",
            help=("email address of your own superuser account"),
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user, by = self._account(options["email"]), self._account(options["by"])
        try:
            removed = reset_second_factor(by=by, user=user)
        except PermissionDenied:
            raise CommandError(
                f"{by.email} is not a superuser, or the account is their own. Nothing was changed."
            ) from None
        self.stdout.write(
            self.style.SUCCESS(
                f"Second factors of {user.email} removed: {removed} (recorded in the audit log)."
            )
        )

    def _account(self, email: str) -> User:
        user = User.objects.filter(email__iexact=email).first()
        if user is None:
            raise CommandError(f"No account has this email address. Received: {email!r}.")
        return user
