"""The supervisors' admin of machines and routing rules."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import label_for_field
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from exchange.incoming.models import Peer, RoutingRule
from exchange.incoming.people import doctors


class SupervisorsAdmin(admin.ModelAdmin):
    """An admin that supervisors may use."""

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("diagnosis.oversee_reading")

    has_module_permission = has_view_permission
    has_add_permission = has_view_permission
    has_change_permission = has_view_permission
    has_delete_permission = has_view_permission


@admin.register(Peer)
class PeerAdmin(SupervisorsAdmin):
    """Machines, known by their AE titles. The listener looks them up for each association."""

    list_display = ["ae_title", "description", "networks", "needs_tls", "is_active"]
    search_fields = ["ae_title", "description"]
    fieldsets = [
        (None, {"fields": ["ae_title", "description", "is_active"]}),
        (_("Where it connects from"), {"fields": ["networks", "needs_tls", "certificate"]}),
        (_("Storage commitment"), {"fields": ["host", "port"]}),
    ]


@admin.register(RoutingRule)
class RoutingRuleAdmin(SupervisorsAdmin):
    """Rules, in the order in which they are tried."""

    list_display = ["name", "position", "conditions", "goes_to", "is_active"]
    list_editable = ["position"]
    list_select_related = ["doctor", "team"]
    fieldsets = [
        (None, {"fields": ["name", "position", "is_active"]}),
        (
            _("X-rays that match"),
            {
                "fields": [
                    "calling_ae", "station", "institution", "modality", "body_part", "age_from",
                    "age_to", "takes_unread",
                ],
                "description": _("Every condition must hold. Empty ones always do."),
            },
        ),
        (_("What becomes of them"), {"fields": ["action", "doctor", "team", "reason"]}),
    ]  # fmt: skip

    def formfield_for_foreignkey(self, db_field: Any, request: Any, **kwargs: Any) -> Any:
        if db_field.name == "doctor":
            kwargs["queryset"] = doctors()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description=_("conditions"))
    def conditions(self, rule: RoutingRule) -> str:
        names = ("calling_ae", "station", "institution", "modality", "body_part")
        texts = [
            f"{label_for_field(name, RoutingRule)}: {value}"
            for name in names
            if (value := getattr(rule, name))
        ]
        if rule.age_from is not None or rule.age_to is not None:
            low = "" if rule.age_from is None else rule.age_from
            high = "" if rule.age_to is None else rule.age_to
            texts.append(f"{_('age')}: {low}–{high}")
        return " · ".join(texts) or str(_("every X-ray"))

    @admin.display(description=_("goes to"))
    def goes_to(self, rule: RoutingRule) -> str:
        if rule.action == RoutingRule.Action.KEEP_OUT:
            return f"{rule.get_action_display()}: {rule.reason}"
        return " · ".join(str(each) for each in (rule.doctor, rule.team) if each is not None)
