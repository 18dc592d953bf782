"""Pages for uploading, viewing, correcting, reviewing and deleting readings."""

import base64
import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import require_safe

from accounts import account_limits
from accounts.audit.recording import record_access
from accounts.models import User
from diagnosis import access_log, retention, serving
from diagnosis.filters import ReadingFilter
from diagnosis.forms.readings import (
    REFUSED,
    DeletionForm,
    FilmForm,
    ReadingForm,
    ReviewForm,
    header_fields,
)
from diagnosis.forms.teams import WorkForm
from diagnosis.models import Reading, Review
from diagnosis.readiness import obstacle, unavailable_text
from diagnosis.services import pending, quotas, sharing
from diagnosis.services.conflicts import UndecidedError
from diagnosis.services.heatmaps import heatmap_place
from diagnosis.services.readings import (
    SubmissionTakenError,
    review_reading,
    submit_reading,
)
from diagnosis.services.teams import teams_of
from diagnosis.serving import denied, no_such_reading
from diagnosis.validators import NOT_NOW, keep_inspected, notices, refusal_to_store
from mlcore.cards import presentation
from mlcore.engine.films.film import render_film
from mlcore.inference import ModelUnavailable
from xraysite.common.paging import KeyPaginator
from xraysite.common.private_search import private_search, query_string

PAGE_SIZE = 20
PREVIEW_SIDE = 800


class DoctorsOnlyMixin(PermissionRequiredMixin):
    """Restrict a page to users who may read films; others get 403."""

    permission_required = "diagnosis.add_reading"
    raise_exception = True
    request: HttpRequest

    def own_reading(self, pk: uuid.UUID) -> Reading:
        """Return one of the user's own readings.

        Raises:
            Http404: there is no such reading.
        """
        readings = Reading.objects.own_of(self.request.user)
        reading = readings.select_related("doctor", "model_version").filter(pk=pk).first()
        if reading is None:
            raise denied(pk)
        return reading


class OwnReadingMixin(DoctorsOnlyMixin):
    """Restrict a page to the reading's doctor.

    Everyone else gets 404, whether the reading exists or not.
    """

    kwargs: dict[str, Any]

    def handle_no_permission(self) -> Any:
        raise denied(self.kwargs["pk"])


@method_decorator(private_search, name="dispatch")
class ReadingListView(DoctorsOnlyMixin, View):
    """A doctor's own history, newest first."""

    def get(self, request: HttpRequest) -> HttpResponse:
        readings = Reading.objects.own_of(request.user).select_related("review", "study")
        readings = sharing.with_sharing(readings).defer("activation_map")
        search = ReadingFilter(request.GET, queryset=readings)
        page = KeyPaginator(search.qs, PAGE_SIZE).get_page(request.GET.get("page"))
        template = (
            "diagnosis/_reading_table.html"
            if request.htmx and not request.htmx.history_restore_request  # type: ignore[attr-defined]
            else "diagnosis/reading_list.html"
        )
        context = {
            "filter": search,
            "page_obj": page,
            "total": page.paginator.count,
            "querystring": query_string(request, without=["page"]),
            "is_filtered": any(value for name, value in request.GET.items() if name != "page"),
            "deletion": DeletionForm(),
        }
        if shown := list(page.object_list):
            access_log.record_list(shown, what="list")
        return render(request, template, context)


class NewReadingView(DoctorsOnlyMixin, View):
    """Upload a film and get a reading.

    A script that submits the form (with an `X-Requested-With` header) gets the URL of the new
    reading as JSON instead of a redirect, which it would follow itself: the access log would then
    record the result page twice.
    """

    def get(self, request: HttpRequest) -> HttpResponse:
        """Show an empty form, or with `?draft=` what was typed before a wrong file was dropped."""
        if (found := obstacle()) is not None:
            return obstacle_page(request, *found)
        draft = _draft(request)
        return render(
            request,
            "diagnosis/reading_form.html",
            {"form": ReadingForm(initial=draft, doctor=request.user)},
        )

    def post(self, request: HttpRequest) -> HttpResponse:
        by_script = request.headers.get("X-Requested-With") == "XMLHttpRequest"
        refused = refusal_of(request.user)  # type: ignore[arg-type]
        form = ReadingForm(
            request.POST, request.FILES, meta=request.META, refused=refused, doctor=request.user
        )
        if not form.is_valid():
            return self._refuse(request, form, status=422 if by_script else 200)
        try:
            reading = submit_reading(
                doctor=request.user,  # type: ignore[arg-type]
                upload=form.cleaned_data["film"],
                patient=form.patient_details(),
                submission=form.cleaned_data["submission"],
                team=form.chosen_team(),
            )
        except SubmissionTakenError:
            form.add_error(None, _("This form has already been used. Choose the X-ray again."))
            return self._refuse(request, form, status=422 if by_script else 200)
        except UndecidedError:
            try:
                location = self._ask(request, form)
            except OSError as error:
                form.add_error("film", refusal_to_store(error))
                return self._refuse(request, form, status=422 if by_script else 200)
        except ModelUnavailable as error:
            return unavailable_page(request, error)
        except OSError as error:
            form.add_error("film", refusal_to_store(error))
            return self._refuse(request, form, status=422 if by_script else 200)
        else:
            location = reading.get_absolute_url()
        if by_script:
            return JsonResponse({"location": location}, status=201)
        return redirect(location)

    def _ask(self, request: HttpRequest, form: ReadingForm) -> str:
        """Keep the upload and return the URL of the page that asks for the doctor's decisions."""
        submission = form.cleaned_data["submission"]
        pending.keep(
            doctor=request.user,  # type: ignore[arg-type]
            submission=submission,
            upload=form.cleaned_data["film"],
            fields=form.kept(),
        )
        return reverse("readings:check", args=[submission])

    def _refuse(self, request: HttpRequest, form: ReadingForm, *, status: int) -> HttpResponse:
        form.renew_submission()
        if status == 200 and any(form.has_error("film", code) for code in NOT_NOW):
            status = 503
        if status == 200 and form.has_error("film", REFUSED):
            status = 429
        return render(request, "diagnosis/reading_form.html", {"form": form}, status=status)


def refusal_of(doctor: User) -> str:
    """Count an upload of the doctor; return why it is not possible now, or ""."""
    try:
        quotas.require_space(doctor)
        account_limits.take(account_limits.UPLOAD, doctor)
    except (quotas.QuotaError, account_limits.TooManyError) as error:
        return str(error)
    return ""


def _draft(request: HttpRequest) -> dict[str, str]:
    """Return the fields of the form that `?draft=` names; empty without such a form."""
    try:
        submission = uuid.UUID(request.GET.get("draft", ""))
    except ValueError:
        return {}
    kept = pending.find(request.user, submission)  # type: ignore[arg-type]
    return kept.fields if kept is not None else {}


def unavailable_page(request: HttpRequest, error: ModelUnavailable) -> HttpResponse:
    """Respond that no reading can be made now."""
    context = {"code": error.code, "message": unavailable_text(error.code)}
    return render(request, "diagnosis/model_unavailable.html", context, status=503)


def obstacle_page(request: HttpRequest, code: str, message: str) -> HttpResponse:
    """Respond, instead of with the form, that no X-ray can be read now and why."""
    context = {"code": code, "message": message}
    return render(request, "diagnosis/not_ready.html", context, status=503)


class InspectFilmView(DoctorsOnlyMixin, View):
    """Return format, size, preview and header values of an uploaded film as JSON.

    Nothing is stored. The decoded film stays in memory for a few minutes, so that the form which
    uploads the same file does not decode it again.
    """

    def post(self, request: HttpRequest) -> JsonResponse:
        form = FilmForm(request.POST, request.FILES, meta=request.META)
        if not form.is_valid():
            return JsonResponse(
                {"ok": False, "error": " ".join(str(error) for error in form.errors["film"])},
                status=422,
            )
        upload = form.cleaned_data["film"]
        preview = base64.b64encode(render_film(upload.film, max_side=PREVIEW_SIDE)).decode()
        keep_inspected(upload.film)
        return JsonResponse(
            {
                "ok": True,
                "preview": f"data:image/jpeg;base64,{preview}",
                "format": upload.film.format,
                "width": upload.film.width,
                "height": upload.film.height,
                "fields": header_fields(upload),
                "notices": notices(upload.film),
            }
        )


@require_safe
def reading_detail(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show the result with film and heatmap."""
    return _reading_page(request, pk, "diagnosis/reading_detail.html", what="page")


@require_safe
def reading_report(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
    """Show the result as a one-page report for printing."""
    return _reading_page(request, pk, "diagnosis/reading_report.html", what="report")


def _reading_page(
    request: HttpRequest,
    pk: uuid.UUID,
    template: str,
    *,
    what: str,
    review_form: ReviewForm | None = None,
) -> HttpResponse:
    reading = serving.reading_for(request, pk)
    record_access(reading, what=what)
    review = Review.objects.filter(reading=reading).first()
    is_own = reading.doctor_id == request.user.pk and not reading.is_hidden
    context = {
        "reading": reading,
        "card": reading.card,
        "evaluated": presentation.held_out(reading.model_version) if reading.card else [],
        "is_own": is_own,
        "may_share": is_own and sharing.may_share(request.user),  # type: ignore[arg-type]
        "shared_cases": reading.shared_cases.all() if is_own else [],
        "other_viewers": access_log.others_who_viewed(reading),
        "review": review,
        "review_form": review_form or ReviewForm(instance=review),
        "deletion": DeletionForm(),
        "heatmap_place": heatmap_place(reading),
        "work_form": _work_form(request, reading),
    }
    return render(request, template, context)


def _work_form(request: HttpRequest, reading: Reading) -> WorkForm | None:
    """Return the form for team and assignment, None for supervisors and where it has no field."""
    is_own = reading.doctor_id == request.user.pk
    if reading.is_hidden or not request.user.has_perm("diagnosis.add_reading"):
        return None
    if not (reading.team_id or (is_own and teams_of(request.user).exists())):
        return None
    return WorkForm(reading=reading, user=request.user)


class ReviewView(OwnReadingMixin, View):
    """Record the doctor's assessment, from the form on the reading's page."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Redirect to the form: a page with its errors has this address and can be reloaded."""
        self.own_reading(pk)
        return redirect("readings:detail", pk)

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        self.own_reading(pk)
        form = ReviewForm(request.POST)
        if not form.is_valid():
            template = "diagnosis/reading_detail.html"
            return _reading_page(request, pk, template, what="page", review_form=form)
        try:
            review_reading(
                doctor=request.user,  # type: ignore[arg-type]
                reading_id=pk,
                verdict=form.cleaned_data["verdict"],
                note=form.cleaned_data["note"],
            )
        except Reading.DoesNotExist:
            raise no_such_reading() from None
        messages.success(request, _("Your assessment has been saved."))
        return redirect("readings:detail", pk)


class DeleteReadingView(OwnReadingMixin, View):
    """Ask for confirmation, then hide the reading from everyone but supervisors."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        record_access(self.own_reading(pk), what="delete-page")
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
            raise no_such_reading() from None
        text = (
            _("Reading deleted. Its image on the discussion board has been withdrawn permanently.")
            if was_shared
            else _("Reading deleted.")
        )
        # The message template renders an "Undo" button that posts to this URL.
        messages.success(request, text, extra_tags=reverse("readings:undelete", args=[pk]))
        return redirect("readings:list")

    def _ask(self, request: HttpRequest, pk: uuid.UUID, form: DeletionForm) -> HttpResponse:
        context = {"reading": self.own_reading(pk), "deletion": form}
        return render(request, "diagnosis/reading_confirm_delete.html", context)


class UndeleteReadingView(OwnReadingMixin, View):
    """Undo a deletion, within `retention.UNDO_WINDOW`."""

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        try:
            reading = retention.undo_hiding(doctor=request.user, reading_id=pk)  # type: ignore[arg-type]
        except Reading.DoesNotExist:
            raise denied(pk) from None
        except retention.TooLateError:
            messages.error(
                request,
                _("It is too late to undo this deletion. Ask a supervisor to restore the reading."),
            )
            return redirect("readings:list")
        messages.success(request, _("Reading restored."))
        if reading.shared_cases.exists():
            messages.info(request, _("Its image on the discussion board remains withdrawn."))
        return redirect(reading)
