"""The page that corrects a patient's details."""

import uuid
from functools import partial

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views import View

from accounts.audit.recording import record_access
from diagnosis import access_log
from diagnosis.forms.conflicts import ConflictForm
from diagnosis.forms.readings import PatientDetailsForm
from diagnosis.models import Reading
from diagnosis.services.conflicts import Conflicts, UndecidedError
from diagnosis.services.readings import ModelForgottenError, edit_reading
from diagnosis.serving import no_such_reading
from diagnosis.views.readings import OwnReadingMixin


class EditReadingView(OwnReadingMixin, View):
    """Correct the patient's details; doctor, film and probabilities cannot be changed."""

    template = "diagnosis/reading_edit.html"

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        reading = self.own_reading(pk)
        record_access(reading, what="edit-page")
        form = PatientDetailsForm(instance=reading)
        return render(request, self.template, {"form": form, "reading": reading})

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        reading = self.own_reading(pk)
        label = reading.label
        form = PatientDetailsForm(request.POST, instance=reading)
        if not form.is_valid() or "back" in request.POST:
            context = {"form": form, "reading": self.own_reading(pk)}
            return render(request, self.template, context)
        try:
            edited = self._edit(request, pk, form)
        except UndecidedError as error:
            return self._ask(request, pk, form, error.conflicts)
        except Reading.DoesNotExist:
            raise no_such_reading() from None
        except ModelForgottenError:
            form.add_error("patient_age_years", self._forgotten())
            context = {"form": form, "reading": self.own_reading(pk)}
            return render(request, self.template, context)
        messages.success(request, _("The patient's details have been updated."))
        if not reading.is_sealed and edited.label != label:
            messages.warning(
                request,
                _("With the corrected age, the result is now %(result)s.")
                % {"result": edited.get_label_display()},
            )
        return redirect(edited)

    @staticmethod
    def _forgotten() -> str:
        """Return why the age of this reading cannot be corrected."""
        return _(
            "The model that made this reading is no longer known, so the result cannot be decided "
            "again for another age. Upload the X-ray again."
        )

    @staticmethod
    def _edit(request: HttpRequest, pk: uuid.UUID, form: PatientDetailsForm) -> Reading:
        """Save the form, with the decisions that were sent with it.

        Raises:
            UndecidedError: a decision is missing.
            Reading.DoesNotExist: the doctor has no such reading.
        """
        edit = partial(
            edit_reading,
            doctor=request.user,  # type: ignore[arg-type]
            reading_id=pk,
            patient=form.patient_details(),
        )
        try:
            return edit()
        except UndecidedError as error:
            decided = ConflictForm(request.POST, conflicts=error.conflicts, entered=form.entered())
            if not decided.is_valid():
                raise
            return edit(decisions=decided.decisions())

    def _ask(
        self, request: HttpRequest, pk: uuid.UUID, form: PatientDetailsForm, conflicts: Conflicts
    ) -> HttpResponse:
        """Show the page that asks for the doctor's decisions, with errors if some were sent."""
        if conflicts.same_number:
            access_log.record_list(conflicts.same_number, what="same-number")
        sent = request.POST if "decide" in request.POST else None
        decisions = ConflictForm(sent, conflicts=conflicts, entered=form.entered())
        context = {"form": decisions, "reading": self.own_reading(pk)}
        return render(request, "diagnosis/reading_edit_check.html", context)
