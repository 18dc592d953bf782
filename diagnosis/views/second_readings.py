"""Recording a second opinion or an arbiter's decision, from the form on a reading's page."""

import uuid

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import View

from diagnosis import serving
from diagnosis.forms.opinions import OpinionForm
from diagnosis.models import Reading, Stage
from diagnosis.services import second_readings
from diagnosis.views.opinions import PAGE
from diagnosis.views.readings import OwnReadingMixin, reading_page

SAVED = {
    Stage.SECOND: gettext_lazy(
        "Your second opinion has been recorded. The first opinion and the model's result are shown "
        "now."
    ),
    Stage.ARBITER: gettext_lazy("Your decision as arbiter has been recorded."),
}


class SecondReadingView(OwnReadingMixin, View):
    """Record what a member of the reading's team was asked for."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Redirect to the form, so that its address can be reloaded."""
        self._reading(request, pk)
        return redirect("readings:detail", pk)

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        reading = self._reading(request, pk)
        stage = second_readings.asked_of(request.user, reading)  # type: ignore[arg-type]
        if stage is None or request.POST.get("stage", stage) != stage:
            return self._is_over(request, pk)
        form = OpinionForm(request.POST, stage=stage)
        if not form.is_valid():
            return reading_page(request, pk, PAGE, what="page", second_form=form)
        try:
            second_readings.record(
                by=request.user,  # type: ignore[arg-type]
                reading_id=pk,
                content=form.content(),
                stage=stage,
            )
        except second_readings.NotAskedError:
            return self._is_over(request, pk)
        messages.success(request, str(SAVED[stage]))
        return redirect("readings:detail", pk)

    @staticmethod
    def _reading(request: HttpRequest, pk: uuid.UUID) -> Reading:
        """Return a reading of the user's, or of one of the user's teams.

        Raises:
            Http404: the user has no such reading.
        """
        found = Reading.objects.worklist_of(request.user).filter(pk=pk)
        reading = found.defer("activation_map").first()
        if reading is None:
            raise serving.denied(pk)
        return reading

    @staticmethod
    def _is_over(request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        messages.info(request, _("No opinion of yours is asked for. Nothing was changed."))
        return redirect("readings:detail", pk)
