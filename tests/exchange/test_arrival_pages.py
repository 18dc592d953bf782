"""The supervisors' pages of X-rays from machines."""

import pytest
from django.core.management import call_command
from django.urls import reverse

from accounts.models import AuditEntry
from diagnosis import storage
from diagnosis.models import BatchItem, Team, TeamMembership
from exchange.incoming import handing, readiness, routing
from exchange.incoming.models import Arrival, ArrivalState, Listener, Peer, RoutingRule
from tests.exchange.machines import arrive, film
from xraysite import readiness as site_readiness
from xraysite.common import readiness as checks
from xraysite.common.readiness import NotReadyError

pytestmark = pytest.mark.django_db
INBOX = "admin:incoming_arrival_inbox"


@pytest.fixture
def waiting(lenient_model) -> Arrival:
    arrival = arrive(film())
    routing.route_waiting()
    arrival.refresh_from_db()
    return arrival


def test_the_inbox_sends_x_rays_to_a_doctor(waiting, doctor, as_supervisor):
    other = arrive(film(2))
    routing.route_waiting()
    page = as_supervisor.get(reverse(INBOX)).content.decode()
    assert "Chen Mei" in page
    assert "No routing rule matches it." in page
    assert "VAN1" in page
    sent = {"arrival": [waiting.pk, other.pk], "assign": "1", "doctor": doctor.pk, "team": ""}
    page = as_supervisor.post(reverse(INBOX), sent, follow=True).content.decode()
    assert "2 X-rays were sent to the doctor." in page
    assert BatchItem.objects.filter(doctor=doctor).count() == 2
    entry = AuditEntry.objects.filter(what="dicom-routed").latest("sequence")
    assert entry.actor is not None
    again = as_supervisor.post(reverse(INBOX), sent, follow=True).content.decode()
    assert "Somebody else has decided" in again


def test_the_inbox_says_what_is_missing(waiting, as_supervisor, doctor):
    def post(**sent: object) -> str:
        return as_supervisor.post(reverse(INBOX), sent, follow=True).content.decode()

    assert "Choose at least one X-ray." in post(assign="1", doctor=doctor.pk)
    assert "Choose a doctor, a team, or both." in post(assign="1", arrival=waiting.pk)
    assert "This field is required." in post(keep_out="1", arrival=waiting.pk)
    team = Team.objects.create(name="Empty")
    assert "may not read X-rays" in post(assign="1", arrival=waiting.pk, team=team.pk)
    waiting.refresh_from_db()
    assert waiting.state == ArrivalState.WAITING


def test_a_page_says_which_rule_would_decide(waiting, as_supervisor, doctor):
    RoutingRule.objects.create(name="for others", position=1, doctor=doctor, calling_ae="X*")
    RoutingRule.objects.create(name="the first", position=2, doctor=doctor, station="room1")
    RoutingRule.objects.create(name="the second", position=3, doctor=doctor)
    page = as_supervisor.get(reverse("admin:incoming_arrival_change", args=[waiting.pk]))
    text = " ".join(page.content.decode().split())
    assert "for others</a> <small>does not match" in text
    assert "the first</a> <strong>matches and decides" in text
    assert "the second</a> matches, but an earlier rule decides" in text
    film_page = as_supervisor.get(reverse("admin:incoming_arrival_film", args=[waiting.pk]))
    assert film_page.content.startswith(b"\xff\xd8\xff")
    seen = AuditEntry.objects.filter(object_pk=str(waiting.pk))
    assert {"dicom-page", "dicom-film"} <= set(seen.values_list("what", flat=True))


def test_every_reason_is_said_in_words(waiting, as_supervisor, doctor, settings):
    params = {"rule": "r", "reason": "why", "arrival": str(waiting.pk), "reasons": ["view"]}
    for code, said in {
        "quota": "used up the storage", "same_uid": "other content", "uid_differs": "announced",
        "unread": "not validated on this view", "rule": "Kept out by rule: why",
        "for_processing": "raw detector data",
    }.items():  # fmt: skip
        Arrival.objects.update(reason={"code": code, "params": params})
        url = reverse("admin:incoming_arrival_change", args=[waiting.pk])
        assert said in as_supervisor.get(url).content.decode()
    Arrival.objects.update(reason={"code": "returned", "params": {"item": "EXPIRED"}})
    assert "waited too long" in as_supervisor.get(reverse(INBOX)).content.decode()
    problem = {"code": "account", "params": {}}
    Arrival.objects.update(reason={"code": "failed", "params": problem})
    assert "It could not be read" in as_supervisor.get(reverse(INBOX)).content.decode()


def test_machines_and_rules_are_checked(as_supervisor, doctor):
    def errors(model: str, **fields: object) -> str:
        url = reverse(f"admin:incoming_{model}_add")
        return as_supervisor.post(url, fields).content.decode()

    assert "no IP address or network" in errors("peer", ae_title="A", networks="192.168.0.0/99")
    assert "1 to 16 ASCII characters" in errors("peer", ae_title="A\\B")
    assert "64 hexadecimal digits" in errors("peer", ae_title="A", needs_tls="on", certificate="x")
    assert "neither" in errors("peer", ae_title="A", host="10.0.0.1")
    rule = {"name": "r", "position": 1, "is_active": "on"}
    assert "Choose a doctor, a team" in errors("routingrule", **rule, action="ROUTE")
    assert "why these X-rays are kept out" in errors("routingrule", **rule, action="KEEP_OUT")
    team = Team.objects.create(name="Chest")
    chosen = rule | {"action": "ROUTE", "doctor": doctor.pk, "team": team.pk}
    assert "no member of this team" in errors("routingrule", **chosen)
    TeamMembership.objects.create(team=team, user=doctor)
    errors("routingrule", **chosen, age_from=1, age_to=5)
    errors("peer", ae_title="VAN1", networks="10.0.0.0/8, ::1", is_active="on")
    assert RoutingRule.objects.get().team == team
    assert Peer.objects.get().connects_from("::ffff:10.1.2.3")
    assert not Peer.objects.get().connects_from("192.0.2.1")
    page = as_supervisor.get(reverse("admin:incoming_routingrule_changelist"))
    assert "age: 1–5" in page.content.decode()


def test_the_office_says_whether_a_listener_runs(waiting, as_supervisor, settings, monkeypatch):
    def office() -> str:
        return " ".join(as_supervisor.get(reverse("admin:index")).content.decode().split())

    settings.DICOM_AE_TITLE = "XRAYSITE"
    monkeypatch.setattr(checks, "_CHECKS", dict(checks._CHECKS))
    site_readiness.register()
    with pytest.raises(NotReadyError):
        readiness.check_listener()
    page = office()
    assert "X-rays from machines are not being received" in page
    assert "X-ray from a machine needs a supervisor" in page
    now = waiting.received_at
    Listener.objects.create(
        name="one", ae_title="XRAYSITE", ports="11112", started_at=now, seen_at=now
    )
    readiness.check_listener()
    checks.forget()
    assert "XRAYSITE listens on port 11112." in office()


def test_the_list_stays_quick(lenient_model, as_supervisor, django_assert_max_num_queries):
    for number in range(1, 8):
        arrive(film(number, size=64))
    as_supervisor.get(reverse("admin:incoming_arrival_changelist"))
    with django_assert_max_num_queries(40):
        page = as_supervisor.get(reverse("admin:incoming_arrival_changelist"))
    assert page.content.decode().count("VAN1") >= 7


def test_the_nightly_job_removes_what_nobody_needs(waiting, as_supervisor, supervisor, capsys):
    handing.keep_out(supervisor=supervisor, arrival_id=waiting.pk, reason="x")
    call_command("sweep_arrivals")
    assert "0 X-ray(s) settled, 0 deleted" in capsys.readouterr().out
    assert storage.read(waiting.storage_name) is not None
    call_command("sweep_arrivals", "--dry-run")
    assert "0 leftover file(s) would be removed." in capsys.readouterr().out
