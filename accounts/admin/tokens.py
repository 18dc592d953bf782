"""Tokens in the admin: supervisors see everybody's and revoke them."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts.tokens.models import ApiToken
from accounts.tokens.services import OVERSEE, revoke_token
from xraysite.common.admin import ReadOnlyAdmin

COLUMNS: list[Any] = [
    "name", "hint", "owner", "scope_codes", "created_at", "expires_at", "last_used_at",
    "last_used_from", "state",
]  # fmt: skip


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    """Every account's tokens. The tokens themselves are stored nowhere."""

    list_display = COLUMNS
    list_select_related = ["owner"]
    fields = [*COLUMNS, "revoked_at", "revoked_by"]
    search_fields = ["name", "owner__display_name", "owner__email"]
    show_full_result_count = False
    actions = ["revoke_selected"]

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm(OVERSEE)

    has_module_permission = has_view_permission

    @admin.display(description=_("scopes"))
    def scope_codes(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)

    @admin.display(description=_("state"))
    def state(self, token: ApiToken) -> str:
        if token.revoked_at is not None:
            return str(_("Revoked"))
        return str(_("Can be used") if token.is_usable else _("Expired"))

    @admin.action(description=_("Revoke the selected tokens"), permissions=["view"])
    def revoke_selected(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        keys = list(queryset.filter(revoked_at=None).values_list("pk", flat=True))
        for key in keys:
            revoke_token(by=request.user, token_id=key)  # type: ignore[arg-type]
        text = ngettext("%(count)d token was revoked.", "%(count)d tokens were revoked.", len(keys))
        messages.success(request, text % {"count": len(keys)})
