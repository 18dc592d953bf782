"""Results on their way to other systems: when, what, how often, and what is on record."""

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from django.core.exceptions import PermissionDenied
from django.utils import timezone
from pydicom.uid import Comprehensive3DSRStorage, SecondaryCaptureImageStorage

from accounts.models import AuditEntry
from diagnosis import retention
from diagnosis.models import (
    HidingReason,
    Label,
    Reading,
    SecondReadingRule,
    Team,
    TeamMembership,
)
from diagnosis.models.choices import SecondState
from diagnosis.models.opinion import Stage
from diagnosis.services import second_readings
from diagnosis.services.opinions import Content, record_opinion
from diagnosis.services.patients import PatientDetails
from diagnosis.services.readings import edit_reading
from exchange.outgoing import handling, running, sending
from exchange.outgoing.models import Delivery
from exchange.outgoing.reasons import shown
from tests.exchange.outgoing import results
from tests.exchange.outgoing.results import (
    EVERYTHING,
    dicom_archive,
    objects_of,
    sign,
    stored_reading,
    target,
    web_archive,
)
from tests.factories import DoctorFactory

pytestmark = pytest.mark.django_db

State = Delivery.State
# pynetdicom leaves the socket of a failed connection to the garbage collector.
unreachable = pytest.mark.filterwarnings("ignore:Exception ignored in.*socket")


@pytest.fixture
def reading(active_model, doctor) -> Reading:
    return stored_reading(doctor, results.dicom_film())


def states() -> list[str]:
    return list(Delivery.objects.order_by("created_at").values_list("state", flat=True))


def due_now() -> None:
    Delivery.objects.update(due_at=timezone.now())


def sent_rows() -> list[dict[str, Any]]:
    rows = AuditEntry.objects.filter(what="result-sent").order_by("pk")
    return [row.additional_data for row in rows]


def test_a_signed_result_reaches_the_archive_and_is_on_record(reading):
    with dicom_archive() as archive:
        to = target(port=archive.port, **EVERYTHING)
        assert not Delivery.objects.exists()
        sign(reading)
        assert states() == [State.WAITING]
        running.send_due("test")
        made = objects_of(reading)
        assert sorted(archive.uids()) == sorted(each.uid for each in made.values())
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.error) == (State.SENT, 1, "")
    assert [row["object"] for row in sent_rows()] == ["sr", "sc", "seg", "pdf"]
    for row in sent_rows():
        each = made[row["object"]]
        assert (row["uid"], row["sha256"], row["to"]) == (each.uid, each.sha256, to.name)
    assert {str(reading.pk)} == set(
        AuditEntry.objects.filter(what="result-sent").values_list("object_pk", flat=True)
    )


@pytest.mark.parametrize(
    ("label", "configured", "is_queued"),
    [
        (Label.UNSURE, {}, False),
        (Label.UNSURE, {"sends_unsure": True}, True),
        (Label.OUT_OF_SCOPE, {}, False),
        (Label.OUT_OF_SCOPE, {"sends_out_of_scope": True}, True),
        (Label.NORMAL, {}, True),
        (Label.NORMAL, {"is_enabled": False}, False),
    ],
)
def test_what_is_sent_depends_on_the_result(reading, label, configured, is_queued):
    Reading.objects.filter(pk=reading.pk).update(label=label)
    target(**configured)
    sign(reading)
    assert Delivery.objects.exists() is is_queued


def test_only_readings_of_the_chosen_teams_are_sent(reading, doctor):
    team, other = Team.objects.create(name="A"), Team.objects.create(name="B")
    target(name="for A").teams.add(team)
    target(name="for B").teams.add(other)
    Reading.objects.filter(pk=reading.pk).update(team=team)
    sign(reading)
    assert [each.target.name for each in Delivery.objects.all()] == ["for A"]


def test_a_withheld_result_waits_for_the_first_opinion(reading, doctor):
    """The rule "at once" does not tell by another way what the doctor may not see yet."""
    from exchange.outgoing import queueing

    Reading.objects.filter(pk=reading.pk).update(withheld=True, blind_first=True)
    target(when="AT_ONCE")
    assert queueing.queue(reading.pk) == []
    record_opinion(doctor=doctor, reading_id=reading.pk, content=Content("NORMAL"), stage="FIRST")
    assert states() == [State.WAITING]


def test_a_result_waits_for_the_second_reader_and_the_arbiter(reading, doctor):
    members = [DoctorFactory(), DoctorFactory()]
    team = Team.objects.create(name="A", second_reading=SecondReadingRule.ALL)
    for member in (doctor, *members):
        role = TeamMembership.Role.ARBITER if member == members[1] else TeamMembership.Role.MEMBER
        team.memberships.create(user=member, role=role)
    Reading.objects.filter(pk=reading.pk).update(team=team, second_state=SecondState.HELD)
    target()
    sign(reading)
    assert not Delivery.objects.exists()
    given = {"reading_id": reading.pk, "content": Content("NORMAL")}
    second_readings.record(by=members[0], stage=Stage.SECOND, **given)
    assert Reading.objects.get().second_state == SecondState.SPLIT
    assert not Delivery.objects.exists()
    second_readings.record(by=members[1], stage=Stage.ARBITER, **given)
    assert states() == [State.WAITING]


@unreachable
def test_an_unreachable_archive_is_tried_again_and_nothing_is_lost(reading):
    with dicom_archive() as archive:
        to = target(port=archive.port)
    sign(reading)
    running.send_due("test")
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.attempts) == (State.WAITING, 1)
    assert delivery.due_at > timezone.now() + datetime.timedelta(seconds=50)
    assert "cannot be reached" in delivery.error
    running.send_due("test")
    assert Delivery.objects.get().attempts == 1, "it is not due yet"
    with dicom_archive() as archive:
        to.port = archive.port
        to.save()
        due_now()
        running.send_due("test")
        assert len(archive.got) == 1
    assert states() == [State.SENT]


@unreachable
def test_it_is_given_up_after_days(reading):
    target(port=1)
    sign(reading)
    Delivery.objects.update(attempts=len(sending.DELAYS))
    running.send_due("test")
    assert states() == [State.FAILED]
    assert sum(sending.DELAYS, datetime.timedelta()) > datetime.timedelta(days=3)


def test_a_busy_archive_is_tried_again_and_a_refusing_one_is_not(reading):
    with dicom_archive() as archive:
        target(port=archive.port)
        sign(reading)
        archive.status = 0xA700
        running.send_due("test")
        assert states() == [State.WAITING]
        archive.status = 0xC000
        due_now()
        running.send_due("test")
    delivery = Delivery.objects.get()
    assert delivery.state == State.FAILED
    assert "0xC000" in shown(delivery.error)
    assert "CHEN" not in delivery.error  # the archive's comment quotes the patient


def test_what_was_accepted_is_not_sent_again(reading, supervisor):
    accepted = [str(Comprehensive3DSRStorage), str(SecondaryCaptureImageStorage)]
    with dicom_archive(accepted) as archive:
        to = target(port=archive.port, sends_picture=True, sends_map=True)
        sign(reading)
        running.send_due("test")
    delivery = Delivery.objects.get()
    assert (delivery.state, list(delivery.sent)) == (State.FAILED, ["sr", "sc"])
    assert "SEG" in shown(delivery.error)
    assert len(sent_rows()) == 2
    with dicom_archive() as archive:
        to.port = archive.port
        to.save()
        handling.retry(supervisor=supervisor, delivery_ids=[delivery.pk])
        running.send_due("test")
        assert len(archive.got) == 3, "a new delivery starts from the beginning, with the same UIDs"
    assert len({row["uid"] for row in sent_rows()}) == 3


def test_a_killed_process_sends_the_rest_with_the_same_uids(reading, monkeypatch):
    with dicom_archive() as archive:
        target(port=archive.port, sends_document=True)
        sign(reading)
        record = sending._record

        def die_at_the_second(delivery, reading, made, answer):
            if len(delivery.sent) == 1:
                raise SystemExit
            record(delivery, reading, made, answer)

        monkeypatch.setattr(sending, "_record", die_at_the_second)
        with pytest.raises(SystemExit):
            running.send_due("thread-1")
        monkeypatch.setattr(sending, "_record", record)
        assert states() == [State.SENDING]
        running.send_due("thread-2")
        assert states() == [State.SENDING], "it may still be sending"
        long_ago = timezone.now() - sending.ABANDONED - datetime.timedelta(minutes=1)
        Delivery.objects.update(claimed_at=long_ago)
        running.send_due("thread-2")
        assert states() == [State.SENT]
        uids = archive.uids()
    assert len(uids) == 3, "one whose answer was lost arrived twice"
    assert len(set(uids)) == 2


def test_a_reading_deleted_before_is_not_sent(reading, doctor):
    with dicom_archive() as archive:
        target(port=archive.port)
        sign(reading)
        retention.hide_reading(doctor=doctor, reading_id=reading.pk, reason=HidingReason.MISTAKE)
        running.send_due("test")
        assert not archive.got
        assert states() == [State.CANCELLED]
        retention.undo_hiding(doctor=doctor, reading_id=reading.pk)
        running.send_due("test")
        assert len(archive.got) == 1, "restored, it is sent"


def test_a_correction_before_sending_is_sent_in_its_new_version(reading, doctor):
    with dicom_archive() as archive:
        target(port=archive.port)
        sign(reading)
        details = PatientDetails("陳小明", 3, reading.exam_date, number="A123", sex="M")
        edit_reading(doctor=doctor, reading_id=reading.pk, patient=details)
        running.send_due("test")
        assert {str(each.PatientSex) for each in archive.got} == {"M"}
    assert len(archive.got) == 1
    assert Delivery.objects.get().note == ""


def test_a_version_sent_in_part_is_not_mixed_with_a_newer_one(reading, doctor):
    with dicom_archive([str(Comprehensive3DSRStorage)]) as archive:
        to = target(port=archive.port, sends_map=True)
        sign(reading)
        running.send_due("test")
    Delivery.objects.update(state=State.WAITING)
    details = PatientDetails("陳小明", 3, reading.exam_date, number="A123", sex="M")
    edit_reading(doctor=doctor, reading_id=reading.pk, patient=details)
    with dicom_archive() as archive:
        to.port = archive.port
        to.save()
        running.send_due("test")
        assert len(archive.got) == 2
        assert {str(each.PatientSex) for each in archive.got} == {"M"}
    assert states() == [State.CANCELLED, State.SENT]
    first = Delivery.objects.order_by("created_at").first()
    assert (list(first.sent), first.note) == (["sr"], "CORRECTED")


def test_supervisors_are_told_what_to_remove_elsewhere(reading, doctor, supervisor):
    with dicom_archive() as archive:
        target(port=archive.port)
        sign(reading)
        running.send_due("test")
        details = PatientDetails("陳小明", 3, reading.exam_date, number="A123", sex="M")
        edit_reading(doctor=doctor, reading_id=reading.pk, patient=details)
        running.send_due("test")
        assert len(set(archive.uids())) == 2, "the new version has UIDs of its own"
        first, second = Delivery.objects.order_by("created_at")
        assert (first.note, second.note) == ("CORRECTED", "")
        retention.hide_reading(doctor=doctor, reading_id=reading.pk, reason=HidingReason.MISTAKE)
    assert set(Delivery.objects.values_list("note", flat=True)) == {"DELETED"}
    done = handling.settle(supervisor=supervisor, delivery_ids=[first.pk, second.pk])
    assert done == 2
    assert AuditEntry.objects.filter(what="result-settled").count() == 2


def test_an_addendum_is_sent_as_a_new_version(reading, doctor):
    with dicom_archive() as archive:
        target(port=archive.port)
        sign(reading)
        running.send_due("test")
        content = Content("NORMAL", note="看過 CT。")
        record_opinion(doctor=doctor, reading_id=reading.pk, content=content, stage="ADDENDUM")
        running.send_due("test")
        reports = [each for each in archive.got if each.Modality == "SR"]
        assert len({each.SOPInstanceUID for each in reports}) == 2
        assert len({each.SeriesInstanceUID for each in reports}) == 1
        assert "看過 CT。" in str(reports[1])


def test_a_duplicate_counts_as_stored(reading):
    with dicom_archive() as archive:
        target(port=archive.port)
        sign(reading)
        archive.status = 0x0111
        running.send_due("test")
    assert states() == [State.SENT]
    assert {row["answer"] for row in sent_rows()} == {"status 0x0111"}


def test_supervisors_cancel_and_doctors_do_not(reading, doctor, supervisor):
    target()
    sign(reading)
    chosen = [Delivery.objects.get().pk]
    for change in (handling.cancel, handling.retry, handling.settle):
        with pytest.raises(PermissionDenied):
            change(supervisor=doctor, delivery_ids=chosen)
    assert handling.cancel(supervisor=supervisor, delivery_ids=chosen) == 1
    assert states() == [State.CANCELLED]
    assert running.send_due("test") == 0


def test_a_result_goes_by_stow_with_its_token(reading, monkeypatch, settings):
    monkeypatch.setenv("OUTGOING_TOKEN_PACS", "s3cret")
    with web_archive() as archive:
        target(way="STOW", url=archive.url, token_name="PACS", sends_document=True)
        sign(reading)
        running.send_due("test")
        made = objects_of(reading)
    assert states() == [State.SENT]
    method, headers, body = archive.requests[0]
    assert method == "POST"
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["Content-Type"].startswith('multipart/related; type="application/dicom"')
    assert made["sr"].data in body
    assert made["pdf"].data in archive.requests[1][2]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ((202, {"00081199": {"vr": "SQ", "Value": []}}), State.SENT),
        ((409, {"00081198": {"Value": [{"00081197": {"Value": [0x0111]}}]}}), State.SENT),
        ((409, {"00081198": {"Value": [{"00081197": {"Value": [0xA700]}}]}}), State.WAITING),
        ((409, {"00081198": {"Value": [{"00081197": {"Value": [0x0122]}}]}}), State.FAILED),
        ((503, {}), State.WAITING),
        ((401, {}), State.FAILED),
        ((302, {}), State.FAILED),
        ((400, "not JSON of DICOM"), State.FAILED),
    ],
)
def test_answers_of_stow_servers(reading, answer, state):
    with web_archive() as archive:
        archive.answer = answer
        target(way="STOW", url=archive.url)
        sign(reading)
        running.send_due("test")
    assert states() == [state]


def test_a_token_is_never_guessed(reading, monkeypatch, tmp_path, settings):
    monkeypatch.setenv("SECRET_KEY", "not for others")
    with web_archive() as archive:
        to = target(way="STOW", url=archive.url, token_name="SECRET_KEY")
        sign(reading)
        running.send_due("test")
        assert not archive.requests
        assert "OUTGOING_TOKEN_SECRET_KEY" in shown(Delivery.objects.get().error)
        settings.OUTGOING_TOKENS = str(tmp_path)
        (tmp_path / "HOSPITAL").write_text("from a file\n")
        to.token_name = "HOSPITAL"
        to.save()
        assert "200" in handling_of(to)
        assert archive.requests[0][1]["Authorization"] == "Bearer from a file"


def handling_of(to: Any) -> str:
    from tests.factories import SupervisorFactory

    return handling.try_out(supervisor=SupervisorFactory(), target=to)


@unreachable
def test_echo_says_whether_the_archive_is_there(supervisor):
    with dicom_archive() as archive:
        to = target(port=archive.port)
        assert handling.try_out(supervisor=supervisor, target=to) == "C-ECHO"
    with pytest.raises(handling.transport.TransportError, match="cannot be reached"):
        handling.try_out(supervisor=supervisor, target=to)
    assert AuditEntry.objects.filter(what="target-tried").count() == 2


def certificate(folder: Path) -> tuple[str, str]:
    """Write a certificate for 127.0.0.1, signed by itself, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "PACS")])
    now = timezone.now()
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(made.public_bytes(Encoding.PEM))
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(public), str(private)


@unreachable
def test_an_encrypted_connection_needs_a_trusted_certificate(reading, settings, tmp_path):
    public, private = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    # The archive asks for the site's certificate, too.
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(public)
    with dicom_archive(tls=context) as archive:
        target(port=archive.port, uses_tls=True)
        sign(reading)
        running.send_due("test")
        assert states() == [State.WAITING]
        assert not archive.got
        settings.OUTGOING_TLS_CA = public
        settings.OUTGOING_TLS_CERTIFICATE, settings.OUTGOING_TLS_KEY = public, private
        due_now()
        running.send_due("test")
        assert states() == [State.SENT]
        assert len(archive.got) == 1
