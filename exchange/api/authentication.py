"""Who a request acts for: the account of its token, within the token's scopes."""

from typing import Any

from django.http import HttpRequest
from ninja.security.base import SecuritySchema

from accounts.tokens.models import SCOPES
from accounts.tokens.services import token_of, user_of


class Token:
    """Requires a token.

    Args:
        scope: a key of `SCOPES` that it must have; None for a token with whatever scopes.
    """

    def __init__(self, scope: str | None) -> None:
        self.scope = scope
        self.openapi_security_schema = SecuritySchema(
            type="http",
            scheme="bearer",
            description="A token of an account: “Authorization: Bearer xrs_…”.",
        )

    def __call__(self, request: HttpRequest) -> Any:
        """Return the token of a request.

        Raises:
            TokenError: it has no valid token, or one without the scope.
        """
        token = token_of(request)
        if self.scope is not None or token is None:
            user_of(request, scope=self.scope or next(iter(SCOPES)))
        return token
