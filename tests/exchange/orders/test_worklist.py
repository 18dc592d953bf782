"""What X-ray machines are answered, asked as pynetdicom decodes their queries."""

import datetime
import time
from types import SimpleNamespace

import pydicom.config
import pytest
from django.utils import timezone
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from accounts.models import AuditEntry, AuditMention
from exchange.orders import services
from exchange.orders.worklist import handlers, queries, steps
from exchange.orders.worklist.queries import Peer
from tests.exchange.orders.ordering import TOMORROW, make_order

pytestmark = pytest.mark.django_db
MACHINE = Peer("VAN1", "192.0.2.7")
DAY = f"{TOMORROW:%Y%m%d}"


def query(step: dict[str, str] | None = None, **keys: str) -> Dataset:
    """Return a query as machines send it: every key that they want, most of them empty."""
    asked = Dataset()
    wanted = {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "", "PatientID": "",
              "AccessionNumber": "", "StudyInstanceUID": "", "PatientWeight": None}  # fmt: skip
    for keyword, value in (wanted | keys).items():
        setattr(asked, keyword, value)
    item = Dataset()
    for keyword, value in ({"ScheduledProcedureStepStartDate": "",
                            "ScheduledProcedureStepStartTime": "", "Modality": "",
                            "ScheduledStationAETitle": ""} | (step or {})).items():  # fmt: skip
        setattr(item, keyword, value)
    asked.ScheduledProcedureStepSequence = Sequence([item])
    return asked


def found(step: dict[str, str] | None = None, **keys: str) -> list[str]:
    """Return the patient numbers that a query finds."""
    return [str(each.PatientID) for each in queries.find(query(step, **keys), MACHINE).answers]


@pytest.fixture
def orders(doctor):
    """Tomorrow at 09:30 for any machine, tomorrow at 23:30 and in two days for VAN2."""
    first = make_order(doctor, accession_number="S-1")
    day = datetime.timedelta(days=1)
    late = first.scheduled_at + datetime.timedelta(hours=14)
    second = make_order(
        doctor, patient_number="B1", scheduled_at=late, station_ae_title="VAN2", modality="CR",
        name_ideographic="林^小美", name_latin="Lin^Hsiao-Mei", name_phonetic="", sex="F",
    )  # fmt: skip
    third = make_order(
        doctor, patient_number="C1", scheduled_at=first.scheduled_at + day, birth_date=None,
        station_ae_title="VAN2", name_ideographic="", name_phonetic="",
    )  # fmt: skip
    return first, second, third


def test_an_order_is_answered_with_what_was_asked_and_no_more(orders):
    (answer,) = queries.find(query(PatientID="A123"), MACHINE).answers
    name = answer.PatientName
    assert (name.alphabetic, name.ideographic, name.phonetic) == (
        "Chen^Wei-Lun", "陳^威倫", "ㄔㄣˊ^ㄨㄟ ㄌㄨㄣˊ",
    )  # fmt: skip
    assert answer.SpecificCharacterSet == "ISO_IR 192"
    assert answer.StudyInstanceUID == orders[0].study_uid
    step = answer.ScheduledProcedureStepSequence[0]
    assert step.ScheduledProcedureStepStartDate == DAY
    assert step.ScheduledProcedureStepStartTime == "093000"
    assert step.ScheduledStationAETitle == "VAN1"  # any machine: the one that asks
    assert "PatientBirthDate" not in answer
    assert answer.PatientWeight is None
    assert answer["PatientWeight"].is_empty


@pytest.mark.parametrize(
    ("step", "keys", "expected"),
    [
        ({}, {}, ["A123", "B1", "C1"]),
        ({}, {"PatientID": "B1"}, ["B1"]),
        ({}, {"PatientID": "*1"}, ["B1", "C1"]),
        ({}, {"PatientID": "?1"}, ["B1", "C1"]),
        ({}, {"AccessionNumber": "S-1"}, ["A123"]),
        ({}, {"PatientName": "CHEN*"}, ["A123", "C1"]),
        ({}, {"PatientName": "*小美"}, ["B1"]),
        ({}, {"PatientName": "Chen^Wei-Lun=陳^*"}, ["A123"]),
        ({}, {"PatientName": "[*"}, []),
        ({}, {"PatientSex": "F"}, ["B1"]),
        ({}, {"PatientBirthDate": "20230501"}, ["A123", "B1"]),
        ({}, {"PatientWeight": "12"}, ["A123", "B1", "C1"]),  # unknown here: not looked at
        ({"Modality": "CR"}, {}, ["B1"]),
        ({"Modality": "DX"}, {}, ["A123", "C1"]),
        ({"ScheduledStationAETitle": "VAN2"}, {}, ["A123", "B1", "C1"]),
        ({"ScheduledStationAETitle": "OTHER"}, {}, ["A123"]),
        ({"ScheduledProcedureStepStartDate": DAY}, {}, ["A123", "B1"]),
        ({"ScheduledProcedureStepStartDate": f"{DAY}-"}, {}, ["A123", "B1", "C1"]),
        ({"ScheduledProcedureStepStartDate": f"-{DAY}"}, {}, ["A123", "B1"]),
        ({"ScheduledProcedureStepStartDate": "20200101-20200131"}, {}, []),
        ({"ScheduledProcedureStepStartTime": "0930"}, {}, ["A123", "C1"]),
        ({"ScheduledProcedureStepStartTime": "08-0930"}, {}, ["A123", "C1"]),
        ({"ScheduledProcedureStepStartTime": "100000-"}, {}, ["B1"]),
        (
            {"ScheduledProcedureStepStartDate": f"{DAY}-20991231",
             "ScheduledProcedureStepStartTime": "1000-0930"}, {}, ["B1", "C1"],
        ),
    ],
)  # fmt: skip
def test_keys_are_compared_as_the_standard_says(step, keys, expected, orders):
    assert found(step, **keys) == expected


def test_many_wildcards_take_no_time(orders):
    began = time.perf_counter()
    assert found(PatientName=f"{'*e' * 25}*x") == []
    assert found(PatientName="*h*n*W?i*") == found(PatientName="Chen*")
    assert time.perf_counter() - began < 2


def test_a_name_is_never_sent_with_characters_replaced(orders):
    def charset_of(asked):
        (answer,) = queries.find(query(PatientID="A123", **asked), MACHINE).answers
        return answer.SpecificCharacterSet

    assert charset_of({"SpecificCharacterSet": "GB18030"}) == "GB18030"
    assert charset_of({"SpecificCharacterSet": "ISO_IR 100"}) == "ISO_IR 192"
    assert charset_of({"SpecificCharacterSet": ["", "ISO 2022 IR 149"]}) == "ISO_IR 192"
    (latin,) = queries.find(
        query(PatientID="C1", SpecificCharacterSet="ISO_IR 100"), MACHINE
    ).answers
    assert latin.SpecificCharacterSet == "ISO_IR 100"
    plain = query(PatientID="A123")
    del plain.SpecificCharacterSet
    (answer,) = queries.find(plain, MACHINE).answers
    assert answer.SpecificCharacterSet == "ISO_IR 192"


def test_times_are_those_of_the_machines_time_zone_if_it_states_one(orders):
    (answer,) = queries.find(
        query({"ScheduledProcedureStepStartTime": "0130"}, PatientID="A123",
              TimezoneOffsetFromUTC="+0000"), MACHINE,
    ).answers  # fmt: skip
    step = answer.ScheduledProcedureStepSequence[0]
    assert step.ScheduledProcedureStepStartTime == "013000"
    assert answer.TimezoneOffsetFromUTC == "+0000"


def test_cancelled_performed_and_old_orders_are_left_out(orders, doctor):
    services.cancel_order(by=doctor, order_id=orders[0].pk)
    assert found() == ["B1", "C1"]
    orders[1].scheduled_at = timezone.now() - datetime.timedelta(days=8)
    orders[1].save()
    assert found() == ["C1"]
    assert found({"ScheduledProcedureStepStartDate": "20200101-"}) == ["B1", "C1"]


def test_each_query_is_on_record_without_its_values(orders):
    found({"Modality": "CR"}, PatientName="Lin*")
    entry = AuditEntry.objects.get(what="worklist-queried")
    assert entry.remote_addr == "192.0.2.7"
    assert entry.additional_data["ae_title"] == "VAN1"
    assert {"Modality", "PatientName"} <= set(entry.additional_data["keys"])
    assert "Lin" not in str(entry.additional_data)
    assert AuditMention.objects.get(entry=entry).object_pk == str(orders[1].pk)


def event(identifier: Dataset | None, **request: str):
    """Return what a listener hands to a handler."""
    requestor = SimpleNamespace(ae_title="VAN1", address="192.0.2.7")
    asked = SimpleNamespace(AffectedSOPClassUID=handlers.CONTEXTS[0], **request)
    return SimpleNamespace(
        assoc=SimpleNamespace(requestor=requestor), request=asked, identifier=identifier,
        is_cancelled=False, attribute_list=identifier, modification_list=identifier,
    )  # fmt: skip


def test_only_machines_that_may_ask_are_answered(orders):
    ((status, answer),) = handlers.handle_find(event(query()), lambda _event: False)
    assert status.Status == 0x0124
    assert answer is None
    assert AuditEntry.objects.filter(what="worklist-refused").count() == 1
    sent = list(handlers.handle_find(event(query()), lambda _event: True))
    assert [status for status, _answer in sent] == [0xFF00] * 3


def test_a_query_with_an_unknown_key_is_answered_with_a_warning(orders):
    sent = list(handlers.handle_find(event(query(PatientWeight="12")), lambda _event: True))
    assert [status for status, _answer in sent] == [0xFF01] * 3


def test_dates_that_are_none_are_refused_instead_of_ignored(orders):
    asked = query()
    wrong = DataElement(0x00400002, "DA", "20261301", validation_mode=pydicom.config.IGNORE)
    asked.ScheduledProcedureStepSequence[0].add(wrong)
    ((status, _answer),) = handlers.handle_find(event(asked), lambda _event: True)
    assert status.Status == 0xA900


def test_more_matches_than_can_be_sent_are_an_error_not_a_short_list(orders, monkeypatch):
    monkeypatch.setattr(queries, "MAX_ANSWERS", 2)
    sent = list(handlers.handle_find(event(query()), lambda _event: True))
    assert [answer.PatientID for _status, answer in sent[:2]] == ["A123", "B1"]
    assert sent[2][0].Status == 0xA700


def test_a_query_takes_few_database_queries(orders, doctor, django_assert_max_num_queries):
    for number in range(20):
        make_order(doctor, patient_number=f"N{number}")
    with django_assert_max_num_queries(12):
        queries.find(query(), MACHINE)


def report(order, status: str) -> Dataset:
    told, item = Dataset(), Dataset()
    item.StudyInstanceUID = order.study_uid
    told.ScheduledStepAttributesSequence = Sequence([item])
    told.PerformedProcedureStepStatus = status
    told.PerformedStationAETitle = "VAN1"
    return told


def test_a_machine_reports_what_it_does(orders, as_doctor):
    order = orders[0]
    step = steps.begin_step(uid="1.2.3", report=report(order, "IN PROGRESS"), peer=MACHINE)
    assert "Machine: In progress" in as_doctor.get("/orders/").content.decode()
    steps.change_step(uid="1.2.3", report=report(order, "COMPLETED"), peer=MACHINE)
    assert found() == ["B1", "C1"]
    page = as_doctor.get(order.get_absolute_url()).content.decode()
    assert "Completed" in page
    assert "No X-ray has arrived yet" in page
    with pytest.raises(steps.StepError, match="has ended"):
        steps.change_step(uid="1.2.3", report=report(order, "DISCONTINUED"), peer=MACHINE)
    rows = AuditEntry.objects.filter(what__startswith="order-step", object_pk=str(order.pk))
    assert rows.count() == 2
    assert step.order == order


def test_a_discontinued_step_leaves_the_order_on_the_worklist(orders):
    may, told = (lambda _event: True), report(orders[0], "IN PROGRESS")
    created = event(told, AffectedSOPInstanceUID="1.2.4")
    assert handlers.handle_create(created, may)[0] == 0x0000
    assert handlers.handle_create(created, may)[0].Status == 0x0111
    ended = event(report(orders[0], "DISCONTINUED"), RequestedSOPInstanceUID="1.2.4")
    assert handlers.handle_set(ended, may)[0] == 0x0000
    unknown = event(told, RequestedSOPInstanceUID="9")
    assert handlers.handle_set(unknown, may)[0].Status == 0x0112
    assert found() == ["A123", "B1", "C1"]
