"""The start page of the admin: pending work, statistics and storage.

Supervisors see everything; other users who may view models (ML staff) see the statistics without
names.
"""

import logging
import shutil
from collections.abc import Callable
from functools import wraps
from typing import Any

from auditlog import get_logentry_model
from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.core.files.storage import storages
from django.db import DataError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _

from accounts.account_limits import TooManyError
from diagnosis import drift, retention, statistics
from diagnosis.film_storage import folder_of
from diagnosis.models import Reading
from diagnosis.services import quotas
from exchange.incoming import readiness as incoming
from mlcore import registry
from mlcore.models import ModelVersion
from xraysite import readiness, task_admin
from xraysite.common.paging import BOUND
from xraysite.common.request_log import pattern_of

# By the model's name.
NAMES = {"DBTaskResult": _("Background tasks"), "Report": _("Reported posts")}
logger = logging.getLogger(__name__)


class OfficeSite(AdminSite):
    """Django's admin site with the office above the list of models."""

    # The pages of the admin are in the site's own sidebar.
    enable_nav_sidebar = False
    empty_value_display = "–"

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        return super().admin_view(_not_found_for_impossible_values(view), cacheable)

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        return super().index(request, {**(extra_context or {}), "office": office_of(request.user)})

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Name pages whose models have names that say too little, or in another style."""
        apps: list[Any] = super().get_app_list(request, app_label)
        for model in (model for app in apps for model in app["models"]):
            model["name"] = NAMES.get(model["object_name"], model["name"])
        return apps


def _not_found_for_impossible_values(
    view: Callable[..., HttpResponseBase],
) -> Callable[..., HttpResponseBase]:
    """Return 404 if a URL contains a value that no column can hold, such as the year 10**20.

    Django passes values in admin URLs to the database unchecked, and the conversion or the database
    then raises an error. POST requests are not affected. At an account's limit, return 429.
    """

    @wraps(view)
    def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(request, *args, **kwargs)
        except TooManyError as error:
            return render(request, "429.html", {"reason": str(error)}, status=429)
        except (ValidationError, ValueError, OverflowError, DataError) as error:
            if request.method not in ("GET", "HEAD"):
                raise
            logger.warning("Impossible value in %s: %s", pattern_of(request), type(error).__name__)
            raise Http404 from error

    return wrapper


def office_of(user: Any) -> dict[str, Any] | None:
    """Return the office's context for `user`, or None if the user may see none of it."""
    oversees = user.has_perm("diagnosis.oversee_reading")
    if not oversees and not user.has_perm("mlcore.view_modelversion"):
        return None
    shown = {"oversees": oversees, "period": statistics.last_days(), "days": statistics.DAYS}
    shown |= {"model": registry.active_version(), "drift": drift.report()}
    if not oversees:
        return shown
    hidden = Reading.objects.visible_to(user).filter(hidden_at__isnull=False)
    return shown | {
        "by_doctor": statistics.by_doctor(),
        "storage_by_doctor": quotas.largest(),
        "quota": settings.DOCTOR_QUOTA_BYTES,
        "hidden": _count(hidden),
        "purgeable": _count(retention.purgeable(hidden)),
        "bound": BOUND,
        "activation": _last_activation(shown["model"]),
        "storage": _storage(),
        "problems": readiness.problems(),
        "queue": task_admin.office_queue(),
        "arrivals": incoming.office(user),
    }


def _count(rows: QuerySet) -> int:
    """Count at most `BOUND` rows."""
    return rows.order_by()[:BOUND].count()


def _last_activation(version: ModelVersion | None) -> Any:
    """Return the audit entry of the latest activation of the active model."""
    if version is None:
        return None
    kind = ContentType.objects.get_for_model(ModelVersion)
    rows = get_logentry_model().objects.filter(content_type=kind, object_pk=str(version.pk))
    return rows.filter(what="model-activated").select_related("actor").first()


def _storage() -> dict[str, int] | None:
    """Return used and free bytes of the volume that stores X-rays; None for an object store."""
    folder = folder_of(storages["films"])
    if folder is None:
        return None
    while not folder.exists():
        folder = folder.parent
    usage = shutil.disk_usage(folder)
    # Relative to usable space: part of a volume may be reserved.
    percent = round(100 * usage.used / ((usage.used + usage.free) or 1))
    return {"used": usage.used, "free": usage.free, "percent": percent}
