from typing import Any

from cryptography.fernet import InvalidToken
from django.core.management.base import BaseCommand, CommandError

from accounts.two_factor import reencrypt_factors


class Command(BaseCommand):
    help = (
        "Encrypt the secrets of all second factors under the current SECRET_KEY, so that earlier "
        "keys can be removed from SECRET_KEY_FALLBACKS (if the audit log has a key of its own)."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = reencrypt_factors()
        except InvalidToken:
            raise CommandError(
                "A second factor is encrypted under a key that is neither SECRET_KEY nor in "
                "SECRET_KEY_FALLBACKS. Add that key, and try again. Nothing was changed."
            ) from None
        self.stdout.write(self.style.SUCCESS(f"Second factors encrypted again: {count}."))
