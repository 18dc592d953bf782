"""Recording opinions and confirmed diagnoses, from the forms on a reading's page."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import View

from diagnosis import serving
from diagnosis.forms.opinions import DiagnosisForm, OpinionForm, entered
from diagnosis.models import ConfirmedDiagnosis, Reading, Review, Stage
from diagnosis.services import diagnoses, opinions
from diagnosis.serving import no_such_reading
from diagnosis.views.readings import OwnReadingMixin, reading_page

PAGE = "diagnosis/reading_detail.html"
SAVED = {
    Stage.FIRST: gettext_lazy(
        "Your first opinion has been saved. The model's result is shown now."
    ),
    Stage.SIGNED: gettext_lazy("Your opinion has been signed."),
    Stage.ADDENDUM: gettext_lazy("Your addendum has been added."),
}


class OpinionView(OwnReadingMixin, View):
    """Record the doctor's opinion, or with `draft` keep what was entered."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Redirect to the form: a page with its errors has this address and can be reloaded."""
        self.own_reading(pk)
        return redirect("readings:detail", pk)

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        reading = self.own_reading(pk)
        stage = opinions.next_stage(reading, Review.objects.filter(reading=reading).first())
        if request.POST.get("stage", stage) != stage:
            return self._is_over(request, pk)
        if "draft" in request.POST:
            return self._keep(request, pk)
        form = OpinionForm(request.POST, stage=stage)
        if not form.is_valid():
            return reading_page(request, pk, PAGE, what="page", opinion_form=form)
        try:
            opinions.record_opinion(
                doctor=request.user,  # type: ignore[arg-type]
                reading_id=pk,
                content=form.content(),
                stage=stage,
            )
        except Reading.DoesNotExist:
            raise no_such_reading() from None
        except opinions.StageOverError:
            return self._is_over(request, pk)
        messages.success(request, str(SAVED[stage]))
        return redirect("readings:detail", pk)

    @staticmethod
    def _is_over(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        messages.info(request, _("This opinion had already been recorded. Nothing was changed."))
        return redirect("readings:detail", pk)

    @staticmethod
    def _keep(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        try:
            opinions.save_draft(
                doctor=request.user,  # type: ignore[arg-type]
                reading_id=pk,
                entered=entered(request.POST),
            )
        except Reading.DoesNotExist:
            raise no_such_reading() from None
        if request.headers.get("X-Requested-With") == "XMLHttpRequest":
            return HttpResponse(status=204)
        messages.success(request, _("Your draft has been saved. Only you can see it."))
        return redirect("readings:detail", pk)


class DiagnosisView(View):
    """Record the confirmed diagnosis, by the reading's doctor or a supervisor."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        serving.reading_for(request, pk)
        return redirect("readings:detail", pk)

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        reading = serving.reading_for(request, pk)
        stored = ConfirmedDiagnosis.objects.filter(reading=reading).first()
        form = DiagnosisForm(request.POST, instance=stored)
        if not form.is_valid():
            return reading_page(request, pk, PAGE, what="page", diagnosis_form=form)
        try:
            diagnoses.confirm_diagnosis(
                by=request.user,  # type: ignore[arg-type]
                reading_id=pk,
                **form.cleaned_data,
            )
        except Reading.DoesNotExist:
            raise no_such_reading() from None
        except diagnoses.NotYetError:
            messages.error(request, _("Record your own opinion first."))
        else:
            messages.success(request, _("The confirmed diagnosis has been recorded."))
        return redirect("readings:detail", pk)
