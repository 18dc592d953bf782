"""The user's own tokens for programs: the list, making one, revoking one."""

from typing import Any

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View

from accounts.forms import TokenForm
from accounts.tokens.models import SCOPES, ApiToken
from accounts.tokens.services import make_token, revoke_token

# Expired and revoked tokens that the list shows.
ENDED_SHOWN = 20


class TokensView(View):
    """The user's tokens: those that can be used, then the last that cannot any more."""

    def get(self, request: HttpRequest) -> HttpResponse:
        own = ApiToken.objects.filter(owner_id=request.user.pk)
        ended = own.exclude(pk__in=own.usable().values("pk"))
        context = {"usable": _rows(own.usable()), "ended": _rows(ended[:ENDED_SHOWN])}
        return render(request, "accounts/tokens.html", context)


def _rows(tokens: Any) -> list[dict[str, Any]]:
    return [
        {"token": token, "scopes": [(code, SCOPES.get(code, code)) for code in token.scopes]}
        for token in tokens
    ]


@method_decorator(reauthentication_required, name="dispatch")
class NewTokenView(View):
    """Make a token and show it, this once. Asks for the password first."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return self._form(request, TokenForm(owner=request.user))  # type: ignore[arg-type]

    def post(self, request: HttpRequest) -> HttpResponse:
        form = TokenForm(request.POST, owner=request.user)  # type: ignore[arg-type]
        if not form.is_valid():
            return self._form(request, form)
        try:
            row, token = make_token(owner=request.user, **form.cleaned_data)  # type: ignore[arg-type]
        except ValueError as error:
            form.add_error(None, str(error))
            return self._form(request, form)
        return render(request, "accounts/token_made.html", {"row": row, "token": token})

    @staticmethod
    def _form(request: HttpRequest, form: TokenForm) -> HttpResponse:
        return render(request, "accounts/token_new.html", {"form": form})


class RevokeTokenView(View):
    """Ask for confirmation, then revoke one of the user's own tokens."""

    def get(self, request: HttpRequest, pk: int) -> HttpResponse:
        token = self._own(request, pk)
        if not token.is_usable:
            return redirect("accounts:tokens")
        return render(request, "accounts/token_revoke.html", {"token": token})

    def post(self, request: HttpRequest, pk: int) -> HttpResponse:
        token = self._own(request, pk)
        revoke_token(by=request.user, token_id=pk)  # type: ignore[arg-type]
        messages.success(request, _("The token “%(name)s” was revoked.") % {"name": token.name})
        return redirect("accounts:tokens")

    @staticmethod
    def _own(request: HttpRequest, pk: int) -> ApiToken:
        token = ApiToken.objects.filter(pk=pk, owner_id=request.user.pk).first()
        if token is None:
            raise Http404
        return token
