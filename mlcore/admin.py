"""Models in the admin: cards, comparison, activation and roll-back."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.db.models import QuerySet
from django.forms import Script
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.functional import Promise
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from mlcore import gates, registry
from mlcore.cards import presentation
from mlcore.cards.not_passed import activations
from mlcore.comparison import CannotCompare, against_active, compare
from mlcore.models import ModelVersion
from mlcore.templatetags.card_values import figure
from xraysite.common.admin import ReadOnlyAdmin

CHANGELIST = "admin:mlcore_modelversion_changelist"

NOT_ACTIVATED: dict[str, Promise] = {
    "missing": gettext_lazy("its files are missing"),
    "damaged": gettext_lazy("its files are damaged or differ from the registered ones"),
    "unfit": gettext_lazy("its model card lacks information that is required for activation"),
    "changed": gettext_lazy("another model has been activated in the meantime; check again"),
}
NOT_CONFIRMED: dict[str, Promise] = {
    "worse": gettext_lazy(
        "Confirm that you want to activate a model that is worse than the active one."
    ),
    "uncompared": gettext_lazy(
        "Confirm that you want to activate a model that cannot be compared with the active one."
    ),
}
GATE_STATUS: dict[str, Promise] = {
    gates.PASSED: gettext_lazy("passed"),
    gates.FAILED: gettext_lazy("failed"),
    gates.NOT_MEASURED: gettext_lazy("not measured"),
}


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    """The registered models; they are added with `manage.py` only."""

    list_display = [
        "name",
        "is_active",
        "auc",
        "sick_called_normal",
        "well_called_pneumonia",
        "unsure",
        "short_hash",
        "created_at",
        "activated_at",
    ]
    search_fields = ["name", "bundle_sha256"]
    actions = ["compare_chosen"]
    fields = [
        "name",
        "is_active",
        "bundle_sha256",
        "path",
        "set_aside_reason",
        "created_at",
        "activated_at",
    ]

    class Media:
        css = {
            "all": [
                "css/admin/models.css",
                "css/model_cards/card.css",
                "css/model_cards/figures.css",
                "css/model_cards/charts.css",
                "css/model_cards/threshold.css",
            ]
        }
        js = [Script("js/models.js", type="module")]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ModelVersion]:
        return super().get_queryset(request).prefetch_related("evaluations")

    @staticmethod
    def may_activate(request: HttpRequest) -> bool:
        return request.user.has_perm("mlcore.activate_modelversion")

    def get_urls(self) -> list[URLPattern]:
        def address(route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
            return path(route, self.admin_site.admin_view(view), name=f"mlcore_modelversion_{name}")

        return [
            address("compare/", require_safe(self.compare_view), "compare"),
            address("roll-back/", require_http_methods(["GET", "POST"])(self.roll_back_view),
                    "rollback"),
            address("<int:object_id>/activate/",
                    require_http_methods(["GET", "POST"])(self.activate_view), "activate"),
            *super().get_urls(),
        ]  # fmt: skip

    @admin.display(description="AUC")
    def auc(self, version: ModelVersion) -> str:
        return _held_out(version, "auc")

    @admin.display(description=gettext_lazy("With pneumonia, called normal"))
    def sick_called_normal(self, version: ModelVersion) -> str:
        return _held_out(version, "sick_called_normal")

    @admin.display(description=gettext_lazy("Without pneumonia, called pneumonia"))
    def well_called_pneumonia(self, version: ModelVersion) -> str:
        return _held_out(version, "well_called_pneumonia")

    @admin.display(description=gettext_lazy("Inconclusive"))
    def unsure(self, version: ModelVersion) -> str:
        return _held_out(version, "unsure_rate")

    @admin.display(description=gettext_lazy("Version"))
    def short_hash(self, version: ModelVersion) -> str:
        return version.bundle_sha256[:12]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        extra = {
            "may_activate": self.may_activate(request),
            "earlier": registry.earlier_version(),
        }
        return super().changelist_view(request, (extra_context or {}) | extra)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        version = self.get_object(request, object_id)
        extra: dict[str, Any] = {"may_activate": self.may_activate(request)}
        if version is not None:
            extra |= presentation.page(version) | {"activations": activations(version)}
        return super().change_view(request, object_id, form_url, (extra_context or {}) | extra)

    @admin.action(description=gettext_lazy("Compare two models"), permissions=["view"])
    def compare_chosen(
        self, request: HttpRequest, chosen: QuerySet[ModelVersion]
    ) -> HttpResponseRedirect | None:
        keys = list(chosen.order_by("created_at").values_list("pk", flat=True)[:3])
        if len(keys) != 2:
            messages.error(request, _("Choose two models to compare."))
            return None
        query = urlencode({"first": keys[0], "second": keys[1]})
        return HttpResponseRedirect(f"{reverse('admin:mlcore_modelversion_compare')}?{query}")

    def compare_view(self, request: HttpRequest) -> HttpResponse:
        """Show two models side by side, with a paired comparison on shared test films."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        versions = ModelVersion.objects.order_by("created_at")
        asked = (request.GET.get("first", ""), request.GET.get("second", ""))
        first, second = (next((v for v in versions if str(v.pk) == key), None) for key in asked)
        context: dict[str, Any] = {"versions": versions, "first": first, "second": second}
        if first is not None and second is not None and first != second:
            context["figures"] = presentation.side_by_side(first, second)
            try:
                context["comparison"] = compare(first, second)
            except CannotCompare as error:
                context["cannot"] = error.reason
        elif any(asked):
            messages.error(request, _("Choose two models to compare."))
        return self._page(request, "compare.html", _("Compare two models"), context)

    def activate_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Ask for confirmation; on POST, activate this model."""
        if not self.may_activate(request):
            raise PermissionDenied
        version = get_object_or_404(ModelVersion, pk=object_id)
        if version.is_active:
            messages.info(request, _("%(name)s is already active.") % {"name": version})
            return redirect(CHANGELIST)
        if request.method == "POST":
            asked = against_active(version).to_confirm
            if asked and f"confirm_{asked}" not in request.POST:
                messages.error(request, str(NOT_CONFIRMED[asked]))
                return self._confirmation(request, _("Activate a model"), version)
            overrides = _overrides(request)
            return self._carried_out(
                request, version, lambda: registry.activate(version, overrides=overrides)
            )
        return self._confirmation(request, _("Activate a model"), version)

    def roll_back_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for confirmation; on POST, activate the previously active model."""
        if not self.may_activate(request):
            raise PermissionDenied
        earlier = registry.earlier_version()
        if earlier is None:
            messages.error(request, _("There is no previously active model to roll back to."))
            return redirect(CHANGELIST)
        if request.method == "POST":
            # Submitting the form twice must not switch back again.
            if request.POST.get("expected") != str(earlier.pk):
                return self._refused(request, earlier, "changed")
            if against_active(earlier).is_worse and "confirm_worse" not in request.POST:
                messages.error(request, str(NOT_CONFIRMED["worse"]))
                return self._roll_back_confirmation(request, earlier)
            overrides = _overrides(request)
            return self._carried_out(
                request, earlier, lambda: registry.roll_back(overrides=overrides)
            )
        return self._roll_back_confirmation(request, earlier)

    def _roll_back_confirmation(self, request: HttpRequest, earlier: ModelVersion) -> HttpResponse:
        # In an emergency: a model that was in use before need not be comparable.
        title = _("Roll back to the previous model")
        return self._confirmation(request, title, earlier, asks_about=("worse",))

    def _carried_out(
        self, request: HttpRequest, version: ModelVersion, change: Callable[[], ModelVersion]
    ) -> HttpResponse:
        try:
            active = change()
        except registry.GatesNotPassed as error:
            said = _("%(name)s was not activated. Give a reason for each gate: %(gates)s.")
            titles = ", ".join(str(result.gate.title) for result in error.results)
            messages.error(request, said % {"name": version, "gates": titles})
            title = _("Activate a model")
            return self._confirmation(request, title, version)
        except registry.NotFitToActivate as error:
            return self._refused(request, version, "unfit", str(error))
        except registry.ModelUnavailable as error:
            return self._refused(request, version, error.code, error.detail)
        except IntegrityError:
            return self._refused(request, version, "changed")
        messages.success(request, _("%(name)s is now the active model.") % {"name": active})
        return redirect(CHANGELIST)

    def _refused(
        self, request: HttpRequest, version: ModelVersion, code: str, detail: str = ""
    ) -> HttpResponse:
        said = _("%(name)s was not activated: %(reason)s.") % {
            "name": version,
            "reason": NOT_ACTIVATED.get(code, code),
        }
        messages.error(request, f"{said} {detail}".strip())
        return redirect(CHANGELIST)

    def _confirmation(
        self,
        request: HttpRequest,
        title: str,
        to: ModelVersion,
        *,
        asks_about: tuple[str, ...] = ("worse", "uncompared"),
    ) -> HttpResponse:
        active, against = registry.active_version(), against_active(to)
        context = {
            "to": to,
            "now": active,
            "figures": presentation.side_by_side(active, to),
            "gates": [
                {
                    "result": result,
                    "status": GATE_STATUS[result.status],
                    "reason": self._reason(request, result),
                }
                for result in gates.results(to)
            ],
            "against": against,
            "asked": against.to_confirm if against.to_confirm in asks_about else "",
            "was_confirmed": f"confirm_{against.to_confirm}" in request.POST,
        }
        return self._page(request, "confirm.html", title, context)

    def _reason(self, request: HttpRequest, result: gates.Result) -> str:
        return request.POST.get(f"override_{result.gate.name}", result.override)

    def _page(
        self, request: HttpRequest, template: str, title: str, context: dict[str, Any]
    ) -> HttpResponse:
        shared = self.admin_site.each_context(request)
        shared |= {"opts": self.opts, "media": self.media, "title": title}
        shared |= {"may_activate": self.may_activate(request)}
        return TemplateResponse(request, f"admin/mlcore/modelversion/{template}", shared | context)


def _overrides(request: HttpRequest) -> dict[str, str]:
    """Return the reasons given in the form, by gate."""
    reasons = {name: request.POST.get(f"override_{name}", "") for name in gates.NAMES}
    return {name: reason for name, reason in reasons.items() if reason.strip()}


def _held_out(version: ModelVersion, key: str) -> str:
    sets = {entry.key: entry.figures for entry in presentation.evaluated(version)}
    return figure(sets.get("test", {}).get(key))
