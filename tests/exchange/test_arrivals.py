"""X-rays from machines: none is lost, none is read twice, none under a wrong patient."""

import datetime
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.storage import storages
from django.utils import timezone

from accounts.models import AuditEntry
from diagnosis import storage
from diagnosis.batches import ending, running
from diagnosis.models import BatchItem, ItemState, Reading, Team, TeamMembership
from diagnosis.services import quotas
from diagnosis.services.films import original_film
from exchange.incoming import commitments, handing, receiving, routing
from exchange.incoming.models import Arrival, ArrivalState, RoutingRule
from mlcore.inference import ModelUnavailable
from tests.exchange.machines import arrive, film, sent
from tests.films import encode_dicom, synthetic_film
from xraysite.backup import making

pytestmark = pytest.mark.django_db


def rule(**fields: Any) -> RoutingRule:
    number = RoutingRule.objects.count() + 1
    return RoutingRule.objects.create(**({"name": f"rule {number}", "position": number} | fields))


@pytest.fixture
def to_doctor(lenient_model, doctor) -> RoutingRule:
    return rule(doctor=doctor)


def read_all() -> None:
    """Do what the listener's threads do."""
    routing.route_waiting()
    running.read_waiting("test")
    handing.settle()


def state_of(arrival: Arrival) -> tuple[str, str]:
    arrival.refresh_from_db()
    return arrival.state, arrival.reason.get("code", "")


def kept_files() -> list[str]:
    folder = Path(storages["films"].base_location) / "incoming"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


class TestStoring:
    def test_what_was_stored_is_the_file_that_was_sent(self, db):
        content = film()
        arrival = arrive(content)
        kept = storage.read(arrival.storage_name)
        assert kept is not None
        assert kept.endswith(sent(content).data_set)
        assert kept_files() == [str(arrival.pk)]
        assert AuditEntry.objects.filter(what="dicom-received").count() == 1

    def test_a_repeat_is_the_same_arrival(self, db):
        first, again = arrive(film()), arrive(film())
        assert first.pk == again.pk
        first.refresh_from_db()
        assert first.times == 2
        assert len(kept_files()) == 1

    def test_two_at_the_same_moment_are_one(self, db):
        first = arrive(film())
        with mock.patch.object(receiving, "_again", side_effect=[None, first]):
            assert arrive(film()).pk == first.pk
        assert Arrival.objects.count() == 1
        assert kept_files() == [str(first.pk)]

    def test_a_file_that_was_lost_is_stored_again_when_it_is_sent_again(self, to_doctor):
        arrival = arrive(film())
        storage.remove([arrival.storage_name])
        routing.route_waiting()
        assert state_of(arrival) == (ArrivalState.WAITING, "lost")
        arrive(film())
        read_all()
        assert state_of(arrival)[0] == ArrivalState.READ

    def test_without_its_row_nothing_is_kept(self, db):
        with (
            mock.patch.object(Arrival, "save", side_effect=OSError("disk")),
            pytest.raises(OSError, match="disk"),
        ):
            arrive(film())
        assert kept_files() == []

    @pytest.mark.parametrize("setting", ["MIN_FREE_BYTES", "DICOM_MAX_WAITING"])
    def test_nothing_is_taken_without_room(self, db, settings, setting):
        arrive(film())
        receiving.check_room()
        setattr(settings, setting, 2**62 if setting == "MIN_FREE_BYTES" else 1)
        with pytest.raises(receiving.NoRoomError):
            receiving.check_room()


class TestRouting:
    def test_a_film_becomes_a_reading_of_its_doctor(self, to_doctor, doctor):
        arrival = arrive(film())
        read_all()
        assert state_of(arrival) == (ArrivalState.READ, "")
        reading = arrival.reading
        assert reading.doctor == doctor
        assert (reading.patient_name, reading.patient_number) == ("Chen Mei", "D77")
        assert reading.exam_date == datetime.date(2026, 1, 5)
        assert (reading.film_instance_uid, reading.film_study_uid) == ("1.2.3.1", "1.2")
        assert original_film(reading).endswith(sent(film()).data_set)
        assert kept_files() == []
        assert arrival.stated == {}  # the reading has it

    def test_it_is_read_once_however_often_it_is_sent(self, to_doctor):
        arrive(film())
        read_all()
        arrive(film())
        read_all()
        arrive(film())
        read_all()
        assert Reading.objects.count() == Arrival.objects.count() == BatchItem.objects.count() == 1

    def test_a_router_killed_after_the_copy_was_stored_repeats_nothing(self, to_doctor):
        """The doctor's copy and the state are one transaction."""
        arrival = arrive(film())
        decided = routing._Decided(ArrivalState.WAITING, "no_rule")
        with (
            mock.patch.object(routing, "hand_over", side_effect=decided),
            mock.patch.object(routing, "put", side_effect=SystemExit),
            pytest.raises(SystemExit),
        ):
            routing.route(arrival.pk)
        assert state_of(arrival)[0] == ArrivalState.RECEIVED
        routing.route_waiting()  # claimed by the killed one
        assert BatchItem.objects.count() == 0
        Arrival.objects.update(claimed_at=timezone.now() - 2 * routing.ABANDONED)
        read_all()
        assert Reading.objects.count() == 1

    def test_one_that_fails_to_commit_leaves_neither_copy_nor_state(self, to_doctor):
        arrival = arrive(film())
        with mock.patch.object(handing, "_change", side_effect=OSError(28, "full")):
            routing.route_waiting()
        assert state_of(arrival)[0] == ArrivalState.RECEIVED
        assert BatchItem.objects.count() == 0
        Arrival.objects.update(due_at=None)
        read_all()
        assert Reading.objects.count() == 1

    def test_without_a_model_films_wait(self, to_doctor):
        arrival = arrive(film())
        gone = ModelUnavailable("missing")
        with mock.patch("exchange.incoming.facts.inference.active_model", side_effect=gone):
            routing.route_waiting()
        assert state_of(arrival) == (ArrivalState.RECEIVED, "")
        Arrival.objects.update(due_at=None)
        read_all()
        assert state_of(arrival)[0] == ArrivalState.READ

    def test_after_several_failures_supervisors_decide(self, to_doctor):
        arrival = arrive(film())
        with mock.patch.object(routing, "_decoded", side_effect=RuntimeError("unexpected")):
            for _ in range(routing.MAX_ATTEMPTS):
                Arrival.objects.update(due_at=None)
                routing.route_waiting()
        assert state_of(arrival) == (ArrivalState.WAITING, "stopped")
        assert kept_files() == [str(arrival.pk)]

    @pytest.mark.parametrize(
        ("header", "code"),
        [
            ({"PresentationIntentType": "FOR PROCESSING"}, "for_processing"),
            ({"modality": "MR"}, "wrong_modality"),
            ({"frames": 3}, "animated"),
            ({"view_position": "LL"}, "unread"),
            ({"body_part": "HAND"}, "unread"),
        ],
    )
    def test_what_is_no_frontal_chest_film_is_kept_out_with_a_reason(self, to_doctor, header, code):
        arrival = arrive(film(**header))
        read_all()
        assert state_of(arrival) == (ArrivalState.KEPT_OUT, code)
        assert Reading.objects.count() == 0
        assert kept_files() == [str(arrival.pk)]

    def test_a_rule_may_send_lateral_views_to_the_doctor(self, lenient_model, doctor):
        rule(doctor=doctor, takes_unread=True)
        arrival = arrive(film(view_position="LL"))
        read_all()
        assert state_of(arrival)[0] == ArrivalState.READ
        assert arrival.reading.label == "OUT_OF_SCOPE"

    def test_unmatched_films_wait_for_the_supervisors(self, lenient_model, doctor):
        rule(doctor=doctor, calling_ae="OTHER")
        arrival = arrive(film())
        read_all()
        assert state_of(arrival) == (ArrivalState.WAITING, "no_rule")
        assert arrival.stated["patient_name"] == "Chen Mei"

    def test_the_first_rule_that_matches_decides(self, lenient_model, doctor, other_doctor):
        rule(action="KEEP_OUT", reason="Test images", calling_ae="TEST*")
        rule(doctor=other_doctor, age_from=10)
        rule(doctor=other_doctor, station="room2")
        chosen = rule(doctor=doctor, station="ROOM*", institution="hospital", age_to=5)
        rule(doctor=other_doctor)
        arrival = arrive(film())
        tested = arrive(film(2), calling_ae="TEST7")
        read_all()
        assert state_of(arrival)[0] == ArrivalState.READ
        assert (arrival.rule, arrival.reading.doctor) == (chosen, doctor)
        assert state_of(tested) == (ArrivalState.KEPT_OUT, "rule")

    def test_a_film_without_age_matches_no_rule_with_one(self, lenient_model, doctor):
        rule(doctor=doctor, age_to=130)
        arrival = arrive(film(age=None))
        read_all()
        assert state_of(arrival) == (ArrivalState.WAITING, "no_rule")

    def test_a_team_shares_what_its_lead_reads(self, lenient_model, doctor, other_doctor):
        team = Team.objects.create(name="Chest")
        TeamMembership.objects.create(team=team, user=other_doctor)
        TeamMembership.objects.create(team=team, user=doctor, role=TeamMembership.Role.LEAD)
        rule(team=team)
        arrival = arrive(film())
        read_all()
        assert state_of(arrival)[0] == ArrivalState.READ
        assert (arrival.reading.doctor, arrival.reading.team) == (doctor, team)
        assert Reading.objects.worklist_of(other_doctor).get() == arrival.reading

    def test_a_doctor_who_may_not_read_gets_nothing(self, to_doctor, doctor):
        doctor.is_active = False
        doctor.save()
        arrival = arrive(film())
        read_all()
        assert state_of(arrival) == (ArrivalState.WAITING, "doctor")

    def test_a_full_quota_is_a_matter_for_supervisors(self, to_doctor):
        arrival = arrive(film())
        with mock.patch.object(quotas, "require_space", side_effect=quotas.QuotaError(1)):
            routing.route_waiting()
        assert state_of(arrival) == (ArrivalState.WAITING, "quota")


class TestRightPatient:
    @pytest.mark.parametrize(
        "header", [{"patient_name": None}, {"age": None}, {"study_date": None}]
    )
    def test_what_the_header_lacks_is_asked_in_the_doctors_inbox(self, to_doctor, doctor, header):
        arrival = arrive(film(**header))
        read_all()
        assert state_of(arrival)[0] == ArrivalState.ROUTED
        item = BatchItem.objects.in_inbox_of(doctor).get()
        assert item.state == ItemState.NEEDS_DATA
        assert Reading.objects.count() == 0
        assert kept_files() == [str(arrival.pk)]

    def test_the_same_film_under_another_patient_waits_for_a_decision(self, to_doctor, doctor):
        arrive(film())
        read_all()
        other = arrive(film(SOPInstanceUID="1.2.9", patient_name="Lin^Tai", patient_id="E1"))
        read_all()
        assert state_of(other)[0] == ArrivalState.ROUTED
        assert BatchItem.objects.in_inbox_of(doctor).get().state == ItemState.UNDECIDED
        assert Reading.objects.count() == 1

    @pytest.mark.parametrize("has_been_read", [True, False])
    def test_the_same_uid_with_another_film_never_replaces_it(self, to_doctor, has_been_read):
        first = arrive(film())
        if has_been_read:
            read_all()
        second = arrive(film(2, SOPInstanceUID="1.2.3.1"))
        read_all()
        assert state_of(second) == (ArrivalState.WAITING, "same_uid")
        assert second.reason["params"] == {"arrival": str(first.pk)}
        assert Reading.objects.count() == 1
        assert kept_files() == [str(second.pk)]

    @pytest.mark.parametrize("has_been_read", [True, False])
    def test_the_same_uid_and_film_under_another_name_is_a_problem(self, to_doctor, has_been_read):
        arrive(film())
        if has_been_read:
            read_all()
        second = arrive(film(patient_name="Lin^Tai"))
        read_all()
        assert state_of(second) == (ArrivalState.WAITING, "same_uid")

    @pytest.mark.parametrize("has_been_read", [True, False])
    def test_the_same_film_in_another_transfer_syntax_is_a_repeat(self, to_doctor, has_been_read):
        arrive(film())
        if has_been_read:
            read_all()
        second = arrive(film(transfer_syntax="jpeg2000"))
        read_all()
        assert state_of(second) == (ArrivalState.KEPT_OUT, "repeat")
        assert Reading.objects.count() == 1

    def test_a_uid_that_is_not_the_files_is_a_problem(self, to_doctor):
        other = sent(film(2))
        lie = receiving.Sent(**(other.__dict__ | {"sop_instance_uid": "1.2.3.4.5"}))
        arrival = receiving.store(lie)
        read_all()
        assert state_of(arrival) == (ArrivalState.WAITING, "uid_differs")


class TestReturned:
    def test_what_the_doctor_removes_waits_for_supervisors(self, to_doctor, doctor):
        arrival = arrive(film(age=None))
        read_all()
        item = BatchItem.objects.get()
        ending.remove_item(doctor=doctor, item_id=item.pk)
        handing.settle()
        assert state_of(arrival) == (ArrivalState.WAITING, "returned")
        assert storage.read(arrival.storage_name) is not None

    def test_what_expires_in_the_doctors_inbox_waits_for_supervisors(self, to_doctor):
        arrival = arrive(film(age=None))
        read_all()
        item = BatchItem.objects.get()
        assert ending.expire(item)
        handing.settle()
        assert state_of(arrival) == (ArrivalState.WAITING, "returned")

    def test_what_cannot_be_read_is_taken_back_and_read_once(
        self, to_doctor, doctor, other_doctor, supervisor
    ):
        arrival = arrive(film())
        routing.route_waiting()
        item = BatchItem.objects.get()
        BatchItem.objects.update(state=ItemState.FAILED, problem={"code": "storage", "params": {}})
        handing.settle()
        assert state_of(arrival) == (ArrivalState.WAITING, "failed")
        assert not ending.retry(doctor=doctor, item_ids=[item.pk])
        handing.assign(supervisor=supervisor, arrival_id=arrival.pk, doctor=other_doctor, team=None)
        read_all()
        assert state_of(arrival)[0] == ArrivalState.READ
        assert Reading.objects.get().doctor == other_doctor

    def test_the_same_doctor_may_get_it_again(self, to_doctor, doctor, supervisor):
        arrival = arrive(film(age=None))
        read_all()
        ending.remove_item(doctor=doctor, item_id=BatchItem.objects.get().pk)
        handing.settle()
        handing.assign(supervisor=supervisor, arrival_id=arrival.pk, doctor=doctor, team=None)
        read_all()
        assert state_of(arrival)[0] == ArrivalState.ROUTED
        assert BatchItem.objects.in_inbox_of(doctor).count() == 1


class TestSupervisors:
    def test_only_supervisors_decide(self, lenient_model, doctor):
        arrival = arrive(film())
        with pytest.raises(PermissionDenied):
            handing.assign(supervisor=doctor, arrival_id=arrival.pk, doctor=doctor, team=None)
        with pytest.raises(PermissionDenied):
            handing.keep_out(supervisor=doctor, arrival_id=arrival.pk, reason="x")
        assert not Arrival.objects.visible_to(doctor).exists()

    def test_two_supervisors_do_not_decide_twice(self, lenient_model, doctor, supervisor):
        arrival = arrive(film())
        routing.route_waiting()
        handing.keep_out(supervisor=supervisor, arrival_id=arrival.pk, reason="A test image")
        with pytest.raises(handing.Moved):
            handing.keep_out(supervisor=supervisor, arrival_id=arrival.pk, reason="x")
        handing.assign(supervisor=supervisor, arrival_id=arrival.pk, doctor=doctor, team=None)
        with pytest.raises(handing.Moved):
            handing.assign(supervisor=supervisor, arrival_id=arrival.pk, doctor=doctor, team=None)
        assert BatchItem.objects.count() == 1

    def test_what_is_kept_out_is_deleted_in_time_and_taken_again(self, to_doctor, settings):
        arrival = arrive(film(view_position="LL"))
        read_all()
        assert handing.expire() == 0
        long_ago = timezone.now() - datetime.timedelta(days=settings.DICOM_KEEP_DAYS + 1)
        Arrival.objects.update(changed_at=long_ago)
        with mock.patch.object(handing.transaction, "on_commit", lambda call, robust: call()):
            assert handing.expire() == 1
        assert kept_files() == []
        arrival.refresh_from_db()
        assert arrival.stated == {}
        arrive(film(view_position="LL"))
        read_all()
        assert state_of(arrival) == (ArrivalState.KEPT_OUT, "unread")
        assert kept_files() == [str(arrival.pk)]

    def test_what_is_sent_again_while_it_expires_is_not_deleted(self, to_doctor, settings):
        arrival = arrive(film(view_position="LL"))
        read_all()
        long_ago = timezone.now() - datetime.timedelta(days=settings.DICOM_KEEP_DAYS + 1)
        Arrival.objects.update(changed_at=long_ago)
        later: list[Callable[[], object]] = []

        def keep(call: Callable[[], object], robust: bool) -> None:
            later.append(call)

        with mock.patch.object(handing.transaction, "on_commit", keep):
            assert handing.expire() == 1
        arrive(film(view_position="LL"))  # the machine is told that it is safe
        for call in later:
            call()
        assert kept_files() == [str(arrival.pk)]

    def test_files_of_killed_processes_are_removed_others_stay(self, db):
        arrival = arrive(film())
        storage.keep("incoming/7d4f1b62-5a0e-4c3b-9c55-0f5b7d1c2a11", b"x")
        storage.keep("incoming/.part-abc", b"x")
        with mock.patch.object(handing, "ORPHAN_AGE", datetime.timedelta(seconds=-10)):
            left = {file.filename for file in handing.leftovers()}
        assert left == {"7d4f1b62-5a0e-4c3b-9c55-0f5b7d1c2a11", ".part-abc"}
        assert storage.read(arrival.storage_name) is not None


class TestCommitment:
    def result(self, *references: tuple[str, str]) -> commitments.Result:
        asked = commitments.ask(
            calling_ae="VAN1", transaction_uid="1.2.9", references=list(references)
        )
        return commitments.result_of(asked)

    def test_only_what_is_safe_is_confirmed(self, to_doctor):
        waiting, read, lateral = film(1, age=None), film(2), film(3, view_position="LL")
        for content in (waiting, read, lateral):
            arrive(content)
        read_all()
        refs = [(sent(each).sop_class_uid, sent(each).sop_instance_uid) for each in (
            waiting, read, lateral
        )]  # fmt: skip
        unknown = (refs[0][0], "1.2.77")
        other_class = ("1.2.840.10008.5.1.4.1.1.7", refs[0][1])
        result = self.result(*refs, unknown, other_class)
        assert result.safe == refs[:2]
        assert result.failed == [(refs[2], 0x0110), (unknown, 0x0112), (other_class, 0x0119)]

    def test_what_was_confirmed_is_never_deleted(self, to_doctor, settings):
        """It was confirmed while it waited, and kept out by a rule later."""
        content = film(view_position="LL")
        arrival = arrive(content)
        self.result((sent(content).sop_class_uid, sent(content).sop_instance_uid))
        read_all()
        assert state_of(arrival)[0] == ArrivalState.KEPT_OUT
        long_ago = timezone.now() - datetime.timedelta(days=settings.DICOM_KEEP_DAYS + 1)
        Arrival.objects.update(changed_at=long_ago)
        assert handing.expire() == 0
        assert kept_files() == [str(arrival.pk)]

    def test_a_result_that_cannot_be_delivered_is_sent_again(self, db):
        asked = commitments.ask(calling_ae="VAN1", transaction_uid="1.2.9", references=[])
        assert commitments.due() == [asked]
        assert not commitments.deliver(asked, lambda *_: False)
        assert commitments.due() == []
        type(asked).objects.update(due_at=timezone.now())
        assert commitments.deliver(commitments.due()[0], lambda *_: True)
        assert commitments.due() == []


def test_hashes_tell_encodings_apart(db):
    plain = sent(film())
    assert (
        plain.sha256
        == hashlib.sha256(f"{plain.transfer_syntax}:".encode() + plain.data_set).hexdigest()
    )


def test_a_purged_reading_takes_its_arrival_with_it(to_doctor):
    arrive(film())
    read_all()
    BatchItem.objects.all().delete()
    Reading.objects.all().delete()
    assert not Arrival.objects.exists()


def test_films_without_a_file_format_of_their_own_are_readable(to_doctor):
    """Each transfer syntax that films come in."""
    pixels = synthetic_film("NORMAL", seed=8, size=200)
    syntaxes = ["implicit", "big_endian", "deflated", "jpeg", "jpeg_lossless", "jpegls", "rle"]
    for number, syntax in enumerate(syntaxes):
        arrive(
            encode_dicom(
                pixels + number,
                transfer_syntax=syntax,
                patient_name="Chen^Mei",
                patient_id="D77",
                age="004Y",
                study_date="20260105",
                SOPInstanceUID=f"1.2.5.{number}",
            )
        )
    read_all()
    assert {arrival.state for arrival in Arrival.objects.all()} == {ArrivalState.READ}


def test_files_that_wait_are_backed_up_and_missed(to_doctor):
    kept, lost, with_doctor = arrive(film(1)), arrive(film(2)), arrive(film(3, age=None))
    Arrival.objects.filter(pk__in=[kept.pk, lost.pk]).update(state=ArrivalState.WAITING)
    read_all()
    for arrival in (lost, with_doctor):
        storage.remove([arrival.storage_name])
    assert {arrival.pk for arrival in handing.missing()} == {lost.pk, with_doctor.pk}
    for arrival in list(handing.missing()):
        handing.note_missing(arrival)
    assert state_of(lost) == (ArrivalState.WAITING, "lost")
    assert state_of(with_doctor)[0] == ArrivalState.ROUTED  # the doctor has a copy
    paths = {path for _root, path in making._waiting(lambda _found: ("0" * 64, 1))}
    assert kept.storage_name in paths
