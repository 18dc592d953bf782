"""What a doctor does with several readings of the worklist at once."""

import datetime
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views import View

from accounts import account_limits
from accounts.audit.recording import origin_of, record_event, record_shown
from diagnosis import access_log, export, phi, retention
from diagnosis.forms.readings import DeletionForm
from diagnosis.models import Reading, Tag
from diagnosis.services import shelves
from diagnosis.services.teams import NotAMemberError, assign_reading, colleagues_of
from diagnosis.services.worklist import MAX_READINGS, add_tag, remove_tag, set_done
from diagnosis.views.readings import DoctorsOnlyMixin
from diagnosis.views.reports import zip_response
from diagnosis.views.worklist import list_url
from diagnosis.worklist import kept
from diagnosis.worklist.lists import Worklist
from xraysite.common.csv_export import csv_response

NAMES_SHOWN = 10


class BulkView(DoctorsOnlyMixin, View):
    """Tag, mark as done, export, report or delete the selected readings, or all that were found."""

    def post(self, request: HttpRequest) -> HttpResponseBase:
        self.list_key, known = kept.find(request.session, request.POST.get(kept.PARAMETER, ""))
        self.back = list_url(request, known.query, view=request.POST.get("view", ""))
        action = self.actions.get(request.POST.get("action", ""))
        keys = self._chosen(request, known.query)
        if action is None or not keys:
            messages.warning(request, _("Select at least one reading, then choose what to do."))
            return redirect(self.back)
        if len(keys) > MAX_READINGS:
            text = _("Select at most %(n)s readings at once: narrow down the list first.")
            messages.error(request, text % {"n": MAX_READINGS})
            return redirect(self.back)
        return action(request, keys)

    @property
    def actions(self) -> dict[str, Callable[[HttpRequest, list[uuid.UUID]], HttpResponseBase]]:
        """What can be done, by the value of the button. A new action needs no more than a row."""
        return {
            "tag": self._tag,
            "untag": self._untag,
            "done": partial(self._set_done, done=True),
            "put_back": partial(self._set_done, done=False),
            "assign": self._assign,
            "export": self._export,
            "reports": self._reports,
            "delete": self._delete,
        }

    def _chosen(self, request: HttpRequest, query: dict[str, str]) -> list[uuid.UUID]:
        """Return the readings to work on: the doctor's own ones, to assign also those of teams."""
        if request.POST.get("all"):
            found = Worklist(request, query).found
        else:
            sent = request.POST.getlist("selected")[: MAX_READINGS + 1]
            found = Reading.objects.visible_to(request.user).filter(pk__in=list(_uuids(sent)))
        if request.POST.get("action") != "assign":
            found = found.filter(doctor_id=request.user.pk, hidden_at__isnull=True)
        return list(found.order_by("pk").values_list("pk", flat=True)[: MAX_READINGS + 1])

    # --- Tags -----------------------------------------------------------------------------

    def _tag(self, request: HttpRequest, keys: list[uuid.UUID]) -> HttpResponseBase:
        name = request.POST.get("new_tag", "").strip()
        user: Any = request.user
        if not name:
            return self._with_tag(request, keys, add_tag, added=True)
        tag = Tag.objects.filter(doctor=user, name_key=phi.folded(name)).first()
        if tag is None:
            warnings = [] if request.POST.get("sure") else list(phi.check(user, name))
            if warnings:
                context = self._again(request, keys) | {"name": name, "warnings": warnings}
                return render(request, "diagnosis/tag_check.html", context)
            try:
                tag = shelves.create_tag(doctor=user, name=name)
            except shelves.TooManyError:
                messages.error(request, _("You have too many tags. Delete some first."))
                return redirect(self.back)
            except ValueError:
                messages.error(request, _("A tag has at most 40 characters."))
                return redirect(self.back)
        added = add_tag(doctor=user, tag_id=tag.pk, reading_ids=keys)
        messages.success(request, self._said_of_tag(tag, added, added=True))
        return redirect(self.back)

    def _untag(self, request: HttpRequest, keys: list[uuid.UUID]) -> HttpResponseBase:
        return self._with_tag(request, keys, remove_tag, added=False)

    def _with_tag(
        self, request: HttpRequest, keys: list[uuid.UUID], change: Any, *, added: bool
    ) -> HttpResponseBase:
        chosen = request.POST.get("tag", "")
        own = Tag.objects.filter(doctor=request.user)  # type: ignore[misc]
        tag = (
            own.filter(pk=int(chosen)).first() if chosen.isdecimal() and len(chosen) < 19 else None
        )
        if tag is None:
            messages.warning(request, _("Choose a tag, or enter the name of a new one."))
            return redirect(self.back)
        changed = change(doctor=request.user, tag_id=tag.pk, reading_ids=keys)
        messages.success(request, self._said_of_tag(tag, changed, added=added))
        return redirect(self.back)

    @staticmethod
    def _said_of_tag(tag: Tag, n: int, *, added: bool) -> str:
        text = (
            ngettext("%(n)s reading tagged: %(tag)s", "%(n)s readings tagged: %(tag)s", n)
            if added
            else ngettext(
                "Tag removed from %(n)s reading: %(tag)s",
                "Tag removed from %(n)s readings: %(tag)s",
                n,
            )
        )
        return text % {"n": n, "tag": tag.name}

    # --- Done -----------------------------------------------------------------------------

    def _set_done(
        self, request: HttpRequest, keys: list[uuid.UUID], *, done: bool
    ) -> HttpResponseBase:
        n = set_done(doctor=request.user, reading_ids=keys, done=done)  # type: ignore[arg-type]
        text = (
            ngettext("%(n)s reading marked as done.", "%(n)s readings marked as done.", n)
            if done
            else ngettext("%(n)s reading is waiting again.", "%(n)s readings are waiting again.", n)
        )
        messages.success(request, text % {"n": n})
        return redirect(self.back)

    # --- Assignment -----------------------------------------------------------------------

    def _assign(self, request: HttpRequest, keys: list[uuid.UUID]) -> HttpResponseBase:
        user: Any = request.user
        chosen = request.POST.get("assignee", "")
        to = None
        if chosen:
            to = colleagues_of(user).filter(pk=chosen).first() if chosen.isdecimal() else None
            if to is None:
                messages.error(request, _("Choose a member of one of your teams."))
                return redirect(self.back)
        assigned = 0
        for key in keys[: retention.MAX_AT_ONCE]:
            with suppress(Reading.DoesNotExist, NotAMemberError):
                assign_reading(by=user, reading_id=key, to=to)
                assigned += 1
        text = ngettext("%(n)s reading assigned.", "%(n)s readings assigned.", assigned)
        messages.success(request, text % {"n": assigned})
        if left := len(keys) - assigned:
            text = ngettext(
                "%(n)s reading is not shared with a team of this doctor, and stays as it was.",
                "%(n)s readings are not shared with a team of this doctor, and stay as they were.",
                left,
            )
            messages.warning(request, text % {"n": left})
        return redirect(self.back)

    # --- Export ---------------------------------------------------------------------------

    def _export(self, request: HttpRequest, keys: list[uuid.UUID]) -> HttpResponseBase:
        try:
            account_limits.take(account_limits.EXPORT, request.user)  # type: ignore[arg-type]
        except account_limits.TooManyError as error:
            messages.error(request, str(error))
            return redirect(self.back)
        readings = Reading.objects.own_of(request.user).filter(pk__in=keys)
        record_event(
            Reading, what="exported", about="worklist", detail={"as": "CSV", "rows": len(keys)}
        )
        origin = origin_of(request)

        def record(some: list[Any]) -> None:
            record_shown(Reading, some, what="exported-readings", about="worklist", **origin)

        name = f"readings-{timezone.localtime():%Y%m%d-%H%M}.csv"
        rows = export.rows(readings, record=record, seal=True)
        return csv_response(name, export.COLUMNS, rows)

    def _reports(self, request: HttpRequest, keys: list[uuid.UUID]) -> HttpResponseBase:
        return zip_response(request, keys) or redirect(self.back)

    # --- Deletion -------------------------------------------------------------------------

    def _delete(self, request: HttpRequest, keys: list[uuid.UUID]) -> HttpResponseBase:
        if len(keys) > retention.MAX_AT_ONCE:
            text = _("Delete at most %(n)s readings at once: narrow down the list first.")
            messages.error(request, text % {"n": retention.MAX_AT_ONCE})
            return redirect(self.back)
        form = DeletionForm(request.POST if request.POST.get("sure") else None)
        if not form.is_valid():
            return self._ask(request, keys, form)
        at = retention.hide_readings(
            doctor=request.user,  # type: ignore[arg-type]
            reading_ids=keys,
            reason=form.cleaned_data["reason"],
        )
        text = ngettext("%(n)s reading deleted.", "%(n)s readings deleted.", len(keys))
        undo = reverse("readings:bulk_undo", args=[microseconds(at)])
        messages.success(request, text % {"n": len(keys)}, extra_tags=undo)
        return redirect(self.back)

    def _ask(self, request: HttpRequest, keys: list[uuid.UUID], form: DeletionForm) -> HttpResponse:
        own = Reading.objects.own_of(request.user).filter(pk__in=keys)
        some = list(own.with_withheld(request.user).defer("activation_map")[:NAMES_SHOWN])
        access_log.record_list(some, what="delete-page")
        shared = own.filter(shared_cases__withdrawn_at__isnull=True, shared_cases__isnull=False)
        context = self._again(request, keys) | {
            "deletion": form,
            "some": some,
            "more": len(keys) - len(some),
            "shared": shared.distinct().count(),
        }
        return render(request, "diagnosis/bulk_confirm_delete.html", context)

    def _again(self, request: HttpRequest, keys: list[uuid.UUID]) -> dict[str, Any]:
        """Return what a page that asks first sends again: these readings, no others."""
        return {
            "keys": keys,
            "list_key": self.list_key,
            "back": self.back,
            "action": request.POST["action"],
            "view": request.POST.get("view", ""),
        }


class BulkUndoView(DoctorsOnlyMixin, View):
    """Restore the readings that were deleted at one moment, within `retention.UNDO_WINDOW`."""

    def post(self, request: HttpRequest, at: int) -> HttpResponse:
        try:
            with transaction.atomic():
                restored = retention.undo_hiding_at(doctor=request.user, at=moment(at))  # type: ignore[arg-type]
        except retention.TooLateError:
            text = _(
                "It is too late to undo this deletion. Ask a supervisor to restore the readings."
            )
            messages.error(request, text)
        except (Reading.DoesNotExist, OverflowError):
            messages.info(request, _("These readings are restored already."))
        else:
            n = len(restored)
            text = ngettext("%(n)s reading restored.", "%(n)s readings restored.", n)
            messages.success(request, text % {"n": n})
        return redirect(list_url(request, kept.find(request.session, "")[1].query))


EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def microseconds(at: datetime.datetime) -> int:
    """Return a moment as a whole number for URLs; see `moment`."""
    return (at - EPOCH) // datetime.timedelta(microseconds=1)


def moment(number: int) -> datetime.datetime:
    """Return the moment that `microseconds` returned as a number.

    Raises:
        OverflowError: the number is no moment of this era.
    """
    return EPOCH + datetime.timedelta(microseconds=number)


def _uuids(texts: list[str]) -> Any:
    for text in texts:
        try:
            yield uuid.UUID(text)
        except ValueError:
            continue
