"""A doctor's teams: who is a member, and how many readings wait for each."""

from django.contrib import messages
from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views import View

from diagnosis.models import TeamMembership
from diagnosis.services.teams import leave_out, teams_of, workload
from diagnosis.views.readings import DoctorsOnlyMixin


class TeamsView(DoctorsOnlyMixin, View):
    """Show the teams of the user; a lead can remove members."""

    def get(self, request: HttpRequest) -> HttpResponse:
        members = TeamMembership.objects.select_related("user").order_by("user__display_name", "pk")
        found = teams_of(request.user).prefetch_related(Prefetch("memberships", members))
        waiting = workload(request.user)  # type: ignore[arg-type]
        teams = []
        for team in found:
            people = list(team.memberships.all())
            teams.append(
                {
                    "team": team,
                    "people": [(each, waiting.get((team.pk, each.user_id), 0)) for each in people],
                    "is_led": any(
                        each.role == TeamMembership.Role.LEAD
                        for each in people
                        if each.user_id == request.user.pk
                    ),
                }
            )
        return render(request, "diagnosis/my_teams.html", {"teams": teams})

    def post(self, request: HttpRequest) -> HttpResponse:
        """Remove the member whose membership is `member`."""
        asked = request.POST.get("member", "")
        try:
            ended = leave_out(
                lead=request.user,  # type: ignore[arg-type]
                membership_id=int(asked) if asked.isdecimal() and len(asked) < 12 else 0,
            )
        except TeamMembership.DoesNotExist:
            messages.error(request, _("Only the lead of a team can remove its members."))
        else:
            text = _("%(name)s is no longer a member of “%(team)s”.")
            messages.success(request, text % {"name": ended.user, "team": ended.team})
        return redirect("readings:teams")
