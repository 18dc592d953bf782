"""The page that asks for a doctor's decisions before a new reading is stored."""

import uuid
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views import View

from diagnosis import access_log
from diagnosis.batches import ending
from diagnosis.forms.conflicts import ConflictForm
from diagnosis.forms.readings import PatientDetailsForm
from diagnosis.forms.teams import chosen_team
from diagnosis.models import Batch, BatchItem, Reading
from diagnosis.services import pending
from diagnosis.services.conflicts import (
    Conflicts,
    UndecidedError,
    conflicts_of,
    same_film,
    same_number,
)
from diagnosis.services.pending import PendingUpload
from diagnosis.services.readings import SubmissionTakenError, submit_reading
from diagnosis.validators import NOT_NOW, refusal_to_store
from diagnosis.views.readings import DoctorsOnlyMixin, unavailable_page
from mlcore import inference
from mlcore.inference import ModelUnavailable

MAX_NUMBER = Reading._meta.get_field("patient_number").max_length


class CheckReadingView(DoctorsOnlyMixin, View):
    """Show what file, form and earlier readings say, and store the reading as decided.

    The upload waits in `services.pending` under the id of the submitted form. Reading the page
    again, in another language too, changes nothing.
    """

    def get(self, request: HttpRequest, submission: uuid.UUID) -> HttpResponse:
        upload = pending.find(request.user, submission)  # type: ignore[arg-type]
        if upload is None or upload.hashes is None:
            return self._gone(request, submission)
        try:
            form = self._form(upload)
        except ModelUnavailable as error:
            return unavailable_page(request, error)
        return self._page(upload, form)

    def post(self, request: HttpRequest, submission: uuid.UUID) -> HttpResponse:
        upload = pending.find(request.user, submission)  # type: ignore[arg-type]
        if upload is None or upload.hashes is None:
            return self._gone(request, submission)
        if "wrong_file" in request.POST and self._remove_from_batch(submission):
            return self._gone(request, submission)
        if "wrong_file" in request.POST:
            pending.drop_film(request.user, submission)  # type: ignore[arg-type]
            messages.info(request, _("Choose the right X-ray. What you typed has been kept."))
            return redirect(f"{reverse('readings:new')}?draft={submission}")
        if "correct" in request.POST:
            return self._correct(request, submission)
        try:
            form = self._form(upload, request.POST)
            if not form.is_valid():
                return self._page(upload, form)
            reading = submit_reading(
                doctor=request.user,  # type: ignore[arg-type]
                upload=upload.uploaded_film(),
                patient=form.patient_details(),
                submission=submission,
                decisions=form.decisions(),
                team=chosen_team(request.user, upload.fields),  # type: ignore[arg-type]
            )
        except UndecidedError:
            messages.warning(request, _("This has changed in the meantime. Check it again."))
            return self._page(upload, self._form(upload))
        except SubmissionTakenError:
            return self._gone(request, submission)
        except ValidationError as error:
            if error.code not in NOT_NOW:
                return self._gone(request, submission)
            form.add_error(None, error)
            return self._page(upload, form, status=503)
        except ModelUnavailable as error:
            return unavailable_page(request, error)
        except OSError as error:
            form.add_error(None, refusal_to_store(error))
            return self._page(upload, form, status=503)
        pending.remove(request.user, submission)  # type: ignore[arg-type]
        return redirect(ending.settle_decided(submission=submission) or reading)

    def _correct(self, request: HttpRequest, submission: uuid.UUID) -> HttpResponse:
        number = request.POST.get("corrected_number", "").strip()[:MAX_NUMBER]
        pending.correct(request.user, submission, {"patient_number": number})  # type: ignore[arg-type]
        return redirect("readings:check", submission)

    def _form(self, upload: PendingUpload, data: Any = None) -> ConflictForm:
        return ConflictForm(data, conflicts=self._conflicts(upload), entered=upload.fields)

    def _conflicts(self, upload: PendingUpload) -> Conflicts:
        """Return what has to be decided; empty if nothing has to be any more."""
        details = PatientDetailsForm(upload.fields)
        if upload.hashes is None or not details.is_valid():
            return Conflicts()
        doctor: Any = self.request.user
        stated, patient = upload.stated or {}, details.patient_details()
        return conflicts_of(
            stated,
            patient,
            inference.active_model().card,
            earlier=same_film(doctor, upload.hashes),
            same_number=same_number(doctor, stated, patient),
        )

    def _page(
        self, upload: PendingUpload, form: ConflictForm, *, status: int = 200
    ) -> HttpResponse:
        # The page shows who the earlier readings are about.
        if form.conflicts.earlier:
            access_log.record_list(form.conflicts.earlier, what="same-film")
        if form.conflicts.same_number:
            access_log.record_list(form.conflicts.same_number, what="same-number")
        context = {"form": form, "upload": upload}
        return render(self.request, "diagnosis/reading_check.html", context, status=status)

    def _remove_from_batch(self, submission: uuid.UUID) -> bool:
        """Remove the file from its batch; return False if it is of no batch."""
        try:
            ending.remove_item(doctor=self.request.user, item_id=submission)  # type: ignore[arg-type]
        except BatchItem.DoesNotExist:
            return False
        pending.remove(self.request.user, submission)  # type: ignore[arg-type]
        messages.success(self.request, _("The file was removed from the batch. It is not read."))
        return True

    def _gone(self, request: HttpRequest, submission: uuid.UUID) -> HttpResponse:
        """Lead to the reading that the form has created, or back to the form or the batch."""
        batch = Batch.objects.own_of(request.user).filter(items=submission).first()
        if batch is not None:
            return redirect(batch)
        if Reading.objects.own_of(request.user).filter(pk=submission).exists():
            return redirect("readings:detail", submission)
        messages.warning(
            request,
            _("The X-ray is no longer kept for this form. Nothing was saved; choose it again."),
        )
        return redirect(f"{reverse('readings:new')}?draft={submission}")
