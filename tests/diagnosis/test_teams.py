"""Teams: what members see of each other's readings, and what ends with a membership."""

import pytest

from accounts.models import AuditEntry
from diagnosis.models import Reading, Team, TeamMembership
from diagnosis.services.teams import (
    NotAMemberError,
    assign_reading,
    remove_member,
    save_member,
    share_with_team,
)  # fmt: skip
from tests.conftest import post_film
from tests.films import encode, synthetic_film


@pytest.fixture
def team(doctor, other_doctor, supervisor):
    team = Team.objects.create(name="兒科病房")
    for member in (doctor, other_doctor):
        save_member(supervisor=supervisor, membership=TeamMembership(team=team, user=member))
    return team


def film(seed=7):
    return encode(synthetic_film("NORMAL", seed=seed, size=512), "png")


def test_reading_of_the_only_team_is_seen_by_its_members_and_not_changed(
    team, doctor, other_doctor, as_doctor, as_other_doctor, active_model
):
    form = as_doctor.get("/readings/new/").content.decode()
    assert f'<option value="{team.pk}" selected>' in form
    post_film(as_doctor, film(), team=team.pk)
    reading = Reading.objects.get()
    page = as_other_doctor.get(reading.get_absolute_url())
    assert "兒科病房" in page.content.decode()
    for part in ("film/", "heatmap/", "report/"):
        assert as_other_doctor.get(reading.get_absolute_url() + part).status_code == 200
    for part in ("edit/", "delete/", "share/", "own-reading/"):
        assert as_other_doctor.get(reading.get_absolute_url() + part).status_code == 404
    assert other_doctor.display_name in as_doctor.get(reading.get_absolute_url()).content.decode()
    # Kept to oneself by choice, it is the doctor's alone.
    post_film(as_doctor, film(seed=8), team="", patient_name="林美", patient_number="9")
    alone = Reading.objects.get(patient_number="9")
    assert as_other_doctor.get(alone.get_absolute_url()).status_code == 404


def test_leaving_ends_access_and_assignments(
    team, doctor, other_doctor, supervisor, as_doctor, as_other_doctor, active_model
):
    post_film(as_doctor, film(), team=team.pk)
    reading = Reading.objects.get()
    address = reading.get_absolute_url()
    as_other_doctor.post(address + "team/", {"assigned_to": other_doctor.pk})
    reading.refresh_from_db()
    assert reading.assigned_to == other_doctor
    membership = TeamMembership.objects.get(user=other_doctor)
    remove_member(supervisor=supervisor, membership=membership)
    reading.refresh_from_db()
    assert reading.assigned_to is None
    assert as_other_doctor.get(address).status_code == 404
    patient_page = reading.study.patient.get_absolute_url()
    assert as_other_doctor.get(patient_page).status_code == 404
    assert {"member-added", "assigned", "member-removed"} <= set(
        AuditEntry.objects.values_list("what", flat=True)
    )


def test_sharing_later_and_taking_it_back(team, doctor, other_doctor, reading, as_other_doctor):
    assert as_other_doctor.get(reading.get_absolute_url()).status_code == 404
    assert share_with_team(doctor=doctor, reading_ids=[reading.pk], team=team) == 1
    assign_reading(by=other_doctor, reading_id=reading.pk, to=other_doctor)
    assert list(Reading.objects.worklist_of(other_doctor)) == [reading]
    share_with_team(doctor=doctor, reading_ids=[reading.pk], team=None)
    assert not Reading.objects.worklist_of(other_doctor).exists()
    reading.refresh_from_db()
    assert reading.assigned_to is None


def test_assigning_needs_a_member(team, doctor, supervisor, reading):
    share_with_team(doctor=doctor, reading_ids=[reading.pk], team=team)
    with pytest.raises(NotAMemberError):
        assign_reading(by=doctor, reading_id=reading.pk, to=supervisor)


def test_supervisor_manages_members_in_the_admin(team, other_doctor, as_supervisor):
    address = f"/admin/diagnosis/team/{team.pk}/change/"
    assert "兒科病房" in as_supervisor.get(address).content.decode()
    first, second = team.memberships.order_by("pk")
    sent = {
        "name": "兒科", "memberships-TOTAL_FORMS": 2, "memberships-INITIAL_FORMS": 2,
        "memberships-0-id": first.pk, "memberships-0-team": team.pk,
        "memberships-0-user": first.user_id, "memberships-0-role": "LEAD",
        "memberships-1-id": second.pk, "memberships-1-team": team.pk,
        "memberships-1-user": second.user_id, "memberships-1-role": "MEMBER",
        "memberships-1-DELETE": "on",
    }  # fmt: skip
    assert as_supervisor.post(address, sent).status_code == 302
    assert [member.role for member in team.memberships.all()] == ["LEAD"]
    assert AuditEntry.objects.filter(what="member-removed").exists()


def test_a_lead_removes_members_and_nobody_else(
    team, doctor, other_doctor, reading, as_doctor, as_other_doctor
):
    share_with_team(doctor=doctor, reading_ids=[reading.pk], team=team)
    assign_reading(by=doctor, reading_id=reading.pk, to=other_doctor)
    own, others = (team.memberships.get(user=user) for user in (doctor, other_doctor))
    page = as_other_doctor.get("/readings/teams/").content.decode()
    assert other_doctor.display_name in page
    assert "Remove member" not in page
    refused = as_other_doctor.post("/readings/teams/", {"member": own.pk}, follow=True)
    assert "Only the lead" in refused.content.decode()

    TeamMembership.objects.filter(pk=own.pk).update(role="LEAD")
    page = as_doctor.get("/readings/teams/").content.decode()
    assert page.count("Remove member") == 1  # not the lead
    as_doctor.post("/readings/teams/", {"member": own.pk})
    as_doctor.post("/readings/teams/", {"member": others.pk})
    assert list(team.members.all()) == [doctor]
    assert AuditEntry.objects.filter(what="member-removed", actor=doctor).count() == 1
    reading.refresh_from_db()
    assert reading.assigned_to is None
    assert as_other_doctor.get(f"/readings/{reading.pk}/").status_code == 404
