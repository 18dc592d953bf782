"""The pages of a reading. Each asks a service or a queryset, and renders."""

import base64
import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import require_safe

from accounts.audit.recording import record_access
from diagnosis import access_log, retention, serving
from diagnosis.filters import ReadingFilter
from diagnosis.forms.readings import (
    DeletionForm,
    FilmForm,
    ParticularsForm,
    ReadingForm,
    ReviewForm,
    header_fields,
)
from diagnosis.models import Reading, Review
from diagnosis.services import sharing
from diagnosis.services.readings import (
    SubmissionTakenError,
    edit_reading,
    review_reading,
    submit_reading,
)
from mlcore.engine.films.film import render_film
from mlcore.inference import ModelUnavailable

PAGE_SIZE = 20
PREVIEW_SIDE = 800


class DoctorsOnlyMixin(PermissionRequiredMixin):
    """A page for those who may read films; others get 403."""

    permission_required = "diagnosis.add_reading"
    raise_exception = True
    request: HttpRequest

    def own_reading(self, pk: uuid.UUID) -> Reading:
        """Returns an own reading, or raises Http404."""
        own = Reading.objects.own_of(self.request.user).select_related("doctor", "model_version")
        reading = own.filter(pk=pk).first()
        if reading is None:
            raise no_such_record()
        return reading


class OwnReadingMixin(DoctorsOnlyMixin):
    """A page about one own reading. Whoever may not read films learns nothing from it: 404."""

    def handle_no_permission(self) -> Any:
        raise no_such_record()


def no_such_record() -> Http404:
    return Http404(_("No such record."))


class ReadingListView(DoctorsOnlyMixin, View):
    """A doctor's own history, newest first."""

    def get(self, request: HttpRequest) -> HttpResponse:
        own = Reading.objects.own_of(request.user).select_related("review")
        own = sharing.with_sharing(own).defer("activation_map")
        search = ReadingFilter(request.GET, queryset=own)
        page = Paginator(search.qs, PAGE_SIZE).get_page(request.GET.get("page"))
        asked = request.GET.copy()
        asked.pop("page", None)
        template = (
            "diagnosis/_reading_table.html"
            if request.htmx and not request.htmx.history_restore_request  # type: ignore[attr-defined]
            else "diagnosis/reading_list.html"
        )
        context = {
            "filter": search,
            "page_obj": page,
            "total": page.paginator.count,
            "querystring": asked.urlencode(),
            "is_filtered": any(asked.values()),
            "deletion": DeletionForm(),
        }
        return render(request, template, context)


class NewReadingView(DoctorsOnlyMixin, View):
    """Upload a film and see what the model makes of it.

    A script that sends the form (and says so by `X-Requested-With`) gets the new address as
    JSON, so that the result page is asked for, and its viewing recorded, once.
    """

    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, "diagnosis/reading_form.html", {"form": ReadingForm()})

    def post(self, request: HttpRequest) -> HttpResponse:
        by_script = request.headers.get("X-Requested-With") == "XMLHttpRequest"
        form = ReadingForm(request.POST, request.FILES, meta=request.META)
        if not form.is_valid():
            return self._refuse(request, form, status=422 if by_script else 200)
        try:
            reading = submit_reading(
                doctor=request.user,  # type: ignore[arg-type]
                upload=form.cleaned_data["film"],
                patient=form.particulars(),
                submission=form.cleaned_data["submission"],
            )
        except SubmissionTakenError:
            form.add_error(None, _("This form was used before. Choose the film again."))
            return self._refuse(request, form, status=422 if by_script else 200)
        except ModelUnavailable as error:
            return render(
                request,
                "diagnosis/model_unavailable.html",
                {"code": error.code, "message": unavailable_text(error.code)},
                status=503,
            )
        for warning in form.differences_from_header():
            messages.warning(request, warning)
        if by_script:
            return JsonResponse({"location": reading.get_absolute_url()}, status=201)
        return redirect(reading)

    def _refuse(self, request: HttpRequest, form: ReadingForm, *, status: int) -> HttpResponse:
        form.renew_submission()
        return render(request, "diagnosis/reading_form.html", {"form": form}, status=status)


def unavailable_text(code: str) -> str:
    """Returns why no reading can be made now."""
    texts = {
        "missing": _("No model is active on this server."),
        "damaged": _("The model's files are damaged, so it was set aside."),
        "invalid_output": _("The model gave an answer that cannot be right, so it was discarded."),
        "timeout": _("The model did not answer in time."),
    }
    return texts.get(code, _("The model cannot be reached."))


class InspectFilmView(DoctorsOnlyMixin, View):
    """Says what an uploaded file is, with a preview and what its header states; keeps nothing."""

    def post(self, request: HttpRequest) -> JsonResponse:
        form = FilmForm(request.POST, request.FILES, meta=request.META)
        if not form.is_valid():
            return JsonResponse(
                {"ok": False, "error": " ".join(str(error) for error in form.errors["film"])},
                status=422,
            )
        upload = form.cleaned_data["film"]
        preview = base64.b64encode(render_film(upload.film, max_side=PREVIEW_SIDE)).decode()
        return JsonResponse(
            {
                "ok": True,
                "preview": f"data:image/jpeg;base64,{preview}",
                "format": upload.film.format,
                "width": upload.film.width,
                "height": upload.film.height,
                "fields": header_fields(upload),
            }
        )


@require_safe
def reading_detail(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """What the model says of a film, and where it looked."""
    return _reading_page(request, pk, "diagnosis/reading_detail.html", what="page")


@require_safe
def reading_report(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """The same on one sheet of paper."""
    return _reading_page(request, pk, "diagnosis/reading_report.html", what="report")


def _reading_page(
    request: HttpRequest,
    pk: uuid.UUID,
    template: str,
    *,
    what: str,
    own_form: ReviewForm | None = None,
) -> HttpResponse:
    reading = serving.reading_for(request, pk)
    record_access(reading, what=what)
    own = Review.objects.filter(reading=reading).first()
    is_own = reading.doctor_id == request.user.pk and not reading.is_hidden
    context = {
        "reading": reading,
        "card": reading.model_version.card,
        "is_own": is_own,
        "may_share": is_own and sharing.may_share(request.user),  # type: ignore[arg-type]
        "shared_cases": reading.shared_cases.all() if is_own else [],
        "others_who_looked": access_log.others_who_looked(reading),
        "review": own,
        "review_form": own_form or ReviewForm(instance=own),
        "deletion": DeletionForm(),
    }
    return render(request, template, context)


class ReviewView(OwnReadingMixin, View):
    """Takes the doctor's own reading of a film, stated on the reading's page."""

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        self.own_reading(pk)
        form = ReviewForm(request.POST)
        if not form.is_valid():
            template = "diagnosis/reading_detail.html"
            return _reading_page(request, pk, template, what="page", own_form=form)
        try:
            review_reading(
                doctor=request.user,  # type: ignore[arg-type]
                reading_id=pk,
                verdict=form.cleaned_data["verdict"],
                note=form.cleaned_data["note"],
            )
        except Reading.DoesNotExist:
            raise no_such_record() from None
        messages.success(request, _("Your own reading is noted."))
        return redirect("readings:detail", pk)


class EditReadingView(OwnReadingMixin, View):
    """Corrects the patient's particulars; never the doctor, the film or the model's figures."""

    template = "diagnosis/reading_edit.html"

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        reading = self.own_reading(pk)
        form = ParticularsForm(instance=reading)
        return render(request, self.template, {"form": form, "reading": reading})

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        reading = self.own_reading(pk)
        label = reading.label
        form = ParticularsForm(request.POST, instance=reading)
        if not form.is_valid():
            context = {"form": form, "reading": self.own_reading(pk)}
            return render(request, self.template, context)
        try:
            edited = edit_reading(
                doctor=request.user,  # type: ignore[arg-type]
                reading_id=pk,
                patient=form.particulars(),
            )
        except Reading.DoesNotExist:
            raise no_such_record() from None
        messages.success(request, _("Record updated."))
        if edited.label != label:
            messages.warning(
                request,
                _("With the corrected age, the result is now: %(result)s.")
                % {"result": edited.get_label_display()},
            )
        return redirect(edited)


class DeleteReadingView(OwnReadingMixin, View):
    """Asks, then deletes: hides from everyone but supervisors."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        return self._ask(request, pk, DeletionForm())

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        form = DeletionForm(request.POST)
        if not form.is_valid():
            return self._ask(request, pk, form)
        was_shared = self.own_reading(pk).is_shared
        try:
            retention.hide_reading(
                doctor=request.user,  # type: ignore[arg-type]
                reading_id=pk,
                reason=form.cleaned_data["reason"],
            )
        except Reading.DoesNotExist:
            raise no_such_record() from None
        text = (
            _("Record deleted. Its picture on the discussion board was withdrawn for good.")
            if was_shared
            else _("Record deleted.")
        )
        # The message carries a button that posts to this address.
        messages.success(request, text, extra_tags=reverse("readings:undelete", args=[pk]))
        return redirect("readings:list")

    def _ask(self, request: HttpRequest, pk: uuid.UUID, form: DeletionForm) -> HttpResponse:
        context = {"reading": self.own_reading(pk), "deletion": form}
        return render(request, "diagnosis/reading_confirm_delete.html", context)


class UndeleteReadingView(OwnReadingMixin, View):
    """Takes a deletion back, for some minutes."""

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        try:
            reading = retention.undo_hiding(doctor=request.user, reading_id=pk)  # type: ignore[arg-type]
        except Reading.DoesNotExist:
            raise no_such_record() from None
        except retention.TooLateError:
            messages.error(
                request,
                _("It is too late to undo the deletion here. A supervisor can restore the record."),
            )
            return redirect("readings:list")
        messages.success(request, _("The record is back."))
        if reading.shared_cases.exists():
            messages.info(request, _("Its picture on the discussion board stays withdrawn."))
        return redirect(reading)
