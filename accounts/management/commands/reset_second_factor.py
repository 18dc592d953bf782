import argparse
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.management.base import BaseCommand, CommandError

from accounts.models import User
from accounts.two_factor import reset_second_factor


class Command(BaseCommand):
    help = (
        "Takes the second factors of an account away whose owner lost them. Its next sign-in leads "
        "to setting up a new one. Make sure that it is really the owner who asks."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("email", help="the account's e-mail address")
        parser.add_argument(
            "--by", required=True, metavar="EMAIL", help="your own account, a superuser's"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        user, by = self._account(options["email"]), self._account(options["by"])
        try:
            removed = reset_second_factor(by=by, user=user)
        except PermissionDenied:
            raise CommandError(
                f"{by.email} is no superuser, or the account is their own: nothing was changed."
            ) from None
        self.stdout.write(
            self.style.SUCCESS(f"{user.email}: {removed} taken away; the change is on record.")
        )

    def _account(self, email: str) -> User:
        user = User.objects.filter(email__iexact=email).first()
        if user is None:
            raise CommandError(f"No account has the address {email!r}.")
        return user
