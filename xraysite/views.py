"""Views that belong to no app: home, about, health, readiness, and the page for server errors."""

import logging
import sys
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.templatetags.static import static
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django.views.defaults import server_error as plain_server_error
from prometheus_client import CONTENT_TYPE_LATEST

from diagnosis.forms.readings import DeletionForm
from mlcore import registry
from mlcore.models import ModelVersion
from xraysite import metrics as site_metrics
from xraysite.common import readiness
from xraysite.common.faults import fault_of
from xraysite.home import work_of

logger = logging.getLogger(__name__)

MODELS_SHOWN = 5
# Who may read the details of a check that fails.
DETAILS_FOR = ("diagnosis.oversee_reading", "mlcore.activate_modelversion")


@login_not_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Show the dashboard, or the landing page to visitors."""
    if not request.user.is_authenticated:
        return render(request, "landing.html")
    return render(request, "dashboard.html", _dashboard(request))


def _dashboard(request: HttpRequest) -> dict[str, Any]:
    return {
        "work": work_of(request.user) if request.user.has_perm("diagnosis.add_reading") else None,
        "active_model": registry.active_version(),
        "model_versions": _newest_models(request.user),
        "deletion": DeletionForm(),
    }


def _newest_models(user: Any) -> list[ModelVersion]:
    """Return the models that ML staff work with, the active one first."""
    if not user.has_perm("mlcore.activate_modelversion"):
        return []
    versions = ModelVersion.objects.defer("card").order_by("-is_active", "-created_at")
    return list(versions[:MODELS_SHOWN])


@login_not_required
@require_safe
def about(request: HttpRequest) -> HttpResponse:
    """Show intended use, limits, data and privacy."""
    version = registry.active_version()
    return render(request, "about.html", {"active_card": version.card if version else None})


@login_not_required
@require_safe
def favicon(request: HttpRequest) -> HttpResponse:
    """Redirect to the icon, for pages without an icon link such as the admin's."""
    return redirect(static("img/favicon.svg"), permanent=False)


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """Return 200: this process answers requests. `readyz` says whether the site can work."""
    return JsonResponse({"status": "ok"})


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Return 200 if readings are possible now, otherwise 503, and which checks fail.

    Supervisors, ML staff and monitors with the token also get the details, which contain paths.
    """
    outcomes = readiness.outcomes()
    is_ready = all(outcome.is_ok for outcome in outcomes if outcome.is_vital)
    checks: dict[str, dict[str, Any]] = {}
    shows_details = any(request.user.has_perm(name) for name in DETAILS_FOR)
    for outcome in outcomes:
        checks[outcome.name] = {"ok": outcome.is_ok}
        if not outcome.is_ok:
            checks[outcome.name]["why"] = outcome.code
            if shows_details:
                checks[outcome.name]["detail"] = outcome.detail
    status = "ok" if is_ready else "unavailable"
    return JsonResponse({"status": status, "checks": checks}, status=200 if is_ready else 503)


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics to a monitor with the token; to everybody else, 404."""
    token, sent = settings.METRICS_TOKEN, request.headers.get("Authorization", "")
    if not token or not constant_time_compare(sent, f"Bearer {token}"):
        raise Http404
    return HttpResponse(site_metrics.text(), content_type=CONTENT_TYPE_LATEST)


@login_not_required
def server_error(request: HttpRequest) -> HttpResponseBase:
    """Explain a state of the server such as a full disk; otherwise show the general error page.

    Django calls it while it handles the exception. The page needs neither database nor session.
    """
    error = sys.exception()
    fault = fault_of(error) if error is not None else None
    if fault is None:
        return plain_server_error(request)
    logger.error("%s: %s %s: %s", fault.code, request.method, request.path, error)
    page = render_to_string("fault.html", {"fault": fault})
    response = HttpResponse(page, status=503)
    response.headers["Retry-After"] = str(fault.retry_after)
    return response
