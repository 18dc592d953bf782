"""Share a reading with a team, and assign it to a member."""

import uuid

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views import View

from diagnosis.forms.teams import FIELD, WorkForm
from diagnosis.models import Reading
from diagnosis.services.teams import (
    AwaitedError,
    NotAMemberError,
    assign_reading,
    share_with_team,
)
from diagnosis.serving import denied
from diagnosis.views.readings import OwnReadingMixin


class TeamView(OwnReadingMixin, View):
    """Change team and assignment of a reading, from the form on its page."""

    def get(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        """Redirect to the form, so that its address can be reloaded."""
        return redirect("readings:detail", self._reading(pk).pk)

    def post(self, request: HttpRequest, pk: uuid.UUID) -> HttpResponse:
        reading = self._reading(pk)
        form = WorkForm(request.POST, reading=reading, user=request.user)
        if not form.is_valid():
            messages.error(request, _("Nothing was changed. Choose a team and a member of it."))
            return redirect("readings:detail", pk)
        chosen = form.cleaned_data
        try:
            if "assigned_to" in chosen:
                assign_reading(by=request.user, reading_id=pk, to=chosen["assigned_to"])  # type: ignore[arg-type]
            if FIELD in chosen:
                share_with_team(doctor=request.user, reading_ids=[pk], team=chosen[FIELD])  # type: ignore[arg-type]
        except (PermissionDenied, NotAMemberError):
            messages.error(request, _("Nothing was changed. Choose a team and a member of it."))
        except AwaitedError:
            messages.error(request, _("A second reading or an arbiter's decision comes first."))
        except Reading.DoesNotExist:
            raise denied(pk) from None
        else:
            messages.success(request, _("Your changes have been saved."))
        return redirect("readings:detail", pk)

    def _reading(self, pk: uuid.UUID) -> Reading:
        """Return a reading of the user's, or of one of the user's teams.

        Raises:
            Http404: the user has no such reading.
        """
        readings = Reading.objects.worklist_of(self.request.user)
        reading = readings.defer("activation_map").filter(pk=pk).first()
        if reading is None:
            raise denied(pk)
        return reading
