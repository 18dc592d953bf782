"""The choice of the team that shares a reading."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from diagnosis.models import Reading, Team
from diagnosis.services.teams import TeamChoice, team_for, teams_of

FIELD = "team"


class TeamField(forms.ModelChoiceField):
    """Which of a doctor's teams shares a reading; empty for none.

    Args:
        doctor: whose teams are offered.
    """

    def __init__(self, doctor: Any, **kwargs: Any) -> None:
        super().__init__(
            queryset=teams_of(doctor),
            label=_("Shared with"),
            required=False,
            empty_label=_("Nobody: only you and your supervisors"),
            help_text=_("Members of the team see the reading, and each look is on record."),
            **kwargs,
        )
        self.doctor = doctor

    def sole_team(self) -> Team | None:
        """Return the team that is chosen at first: the doctor's only one."""
        return team_for(self.doctor, TeamChoice.SOLE)


def chosen_team(doctor: User, fields: Mapping[str, str]) -> Team | None:
    """Return the team that was chosen in a form that has been kept, if the doctor is a member."""
    chosen = fields.get(FIELD, "")
    return teams_of(doctor).filter(pk=chosen).first() if chosen.isdecimal() else None


class BatchTeamForm(forms.Form):
    """Which of a doctor's teams shares the readings of a batch; no field without a team."""

    def __init__(self, *args: Any, doctor: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if teams_of(doctor).exists():
            field = self.fields[FIELD] = TeamField(doctor)
            field.initial = field.sole_team()
            field.widget.attrs["class"] = "form-select form-select-sm"

    def chosen(self) -> Team | TeamChoice | None:
        """Return the team of a form that was sent; the doctor's only one if it has no field."""
        if not self.is_valid() or self.add_prefix(FIELD) not in self.data:
            return TeamChoice.SOLE
        team: Team | None = self.cleaned_data.get(FIELD)
        return team


class WorkForm(forms.Form):
    """With which team a reading is shared, and who of it is to work on the reading.

    Args:
        reading: the reading.
        user: the reading's doctor, who may change both, or a member of its team.
    """

    def __init__(self, *args: Any, reading: Reading, user: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if reading.doctor_id == user.pk:
            self.fields[FIELD] = TeamField(user, initial=reading.team_id)
        members = User.objects.filter(team_memberships__team=reading.team_id)
        doctor = User.objects.filter(pk=reading.doctor_id)
        self.fields["assigned_to"] = forms.ModelChoiceField(
            queryset=(members | doctor).distinct().order_by("display_name", "email"),
            label=_("Assigned to"),
            required=False,
            empty_label=_("Nobody"),
            initial=reading.assigned_to_id,
        )
        if reading.team_id is None:
            del self.fields["assigned_to"]
        for field in self.fields.values():
            field.widget.attrs["class"] = "form-select"
