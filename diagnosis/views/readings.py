"""Pages for uploading, viewing, correcting, reviewing and deleting readings."""

import base64
import uuid
from typing import Any

from django.contrib import messages
from django.contrib.auth.mixins import PermissionRequiredMixin
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views import View
from django.views.decorators.http import require_safe

from accounts import account_limits
from accounts.audit.recording import record_access
from accounts.models import User
from diagnosis import access_log, retention, serving
from diagnosis.forms.opinions import DiagnosisForm, OpinionForm
from diagnosis.forms.readings import (
    REFUSED,
    DeletionForm,
    FilmForm,
    ReadingForm,
    header_fields,
)
from diagnosis.forms.teams import WorkForm
from diagnosis.models import Reading
from diagnosis.readiness import obstacle, unavailable_text
from diagnosis.services import pending, quotas, sharing
from diagnosis.services.conflicts import UndecidedError
from diagnosis.services.heatmaps import heatmap_place
from diagnosis.services.readings import (
    SubmissionTakenError,
    submit_reading,
)
from diagnosis.services.report_content import report_content
from diagnosis.services.report_pdf import code_of
from diagnosis.services.teams import teams_of
from diagnosis.services.worklist import mark_opened
from diagnosis.serving import denied, no_such_reading
from diagnosis.validators import NOT_NOW, keep_inspected, notices, refusal_to_store
from diagnosis.views.compare import viewer_context
from diagnosis.views.opinion_context import opinion_context, second_context
from mlcore.cards import presentation
from mlcore.engine.films.film import render_film
from mlcore.inference import ModelUnavailable

PREVIEW_SIDE = 800


class DoctorsOnlyMixin(PermissionRequiredMixin):
    """Restrict a page to users who may read films; others get 403."""

    permission_required = "diagnosis.add_reading"
    raise_exception = True
    request: HttpRequest

    def own_reading(self, pk: uuid.UUID) -> Reading:
        """Return one of the user's own readings, sealed while the model's answer is withheld.

        Raises:
            Http404: there is no such reading.
        """
        readings = Reading.objects.own_of(self.request.user)
        readings = readings.select_related("doctor", "model_version")
        reading = readings.with_withheld(self.request.user).filter(pk=pk).first()
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
    """Show the result with film and heatmap; the doctor has then opened the reading."""
    return reading_page(request, pk, "diagnosis/reading_detail.html", what="page")


def reading_page(
    request: HttpRequest,
    pk: uuid.UUID,
    template: str,
    *,
    what: str,
    opinion_form: OpinionForm | None = None,
    diagnosis_form: DiagnosisForm | None = None,
    second_form: OpinionForm | None = None,
) -> HttpResponse:
    """Respond with a page about a reading that the user may see, and record the view.

    Args:
        what: the event's code, "page" or "report".
        opinion_form, diagnosis_form, second_form: forms with errors, to be shown again.
    """
    reading = serving.reading_for(request, pk)
    record_access(reading, what=what)
    is_own = reading.doctor_id == request.user.pk and not reading.is_hidden
    context = {
        "reading": reading,
        "card": reading.card,
        "evaluated": presentation.held_out(reading.model_version) if reading.card else [],
        "is_own": is_own,
        "may_share": is_own
        and not sharing.is_independent(reading)
        and sharing.may_share(request.user),  # type: ignore[arg-type]
        "shared_cases": reading.shared_cases.all() if is_own else [],
        "other_viewers": access_log.others_who_viewed(reading),
        "deletion": DeletionForm(),
        "heatmap_place": heatmap_place(reading) if reading.has_result else "",
        "content": None if reading.is_sealed else report_content(reading, with_map=True),
        "record_code": code_of(serving.record_url(request, reading)),
        "list_key": request.GET.get("list", ""),
        "work_form": _work_form(request, reading),
        **opinion_context(
            reading,
            request.user,  # type: ignore[arg-type]
            opinion_form=opinion_form,
            diagnosis_form=diagnosis_form,
        ),
        **second_context(reading, request.user, second_form),  # type: ignore[arg-type]
    }
    if what == "page":
        context |= viewer_context(request, reading)
        if is_own and request.method == "GET":
            mark_opened(doctor=request.user, reading_id=pk)  # type: ignore[arg-type]
    return render(request, template, context)


def _work_form(request: HttpRequest, reading: Reading) -> WorkForm | None:
    """Return the form for team and assignment, None for supervisors and where it has no field."""
    is_own = reading.doctor_id == request.user.pk
    if reading.is_hidden or not request.user.has_perm("diagnosis.add_reading"):
        return None
    if not (reading.team_id or (is_own and teams_of(request.user).exists())):
        return None
    return WorkForm(reading=reading, user=request.user)


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
