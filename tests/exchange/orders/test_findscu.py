"""The worklist of the real listener, asked by real programs: dcmtk's `findscu` and `storescu`."""

import logging
import os
import shutil
import subprocess
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom.sop_class import ModalityPerformedProcedureStep

from accounts.models import AuditEntry
from diagnosis.models import Reading
from exchange.incoming.models import Peer, RoutingRule
from exchange.orders.models import OrderState, PerformedStep
from tests.exchange.orders.ordering import TOMORROW, make_order
from tests.exchange.test_listening import associate, listening, until
from tests.films import encode_dicom, synthetic_film

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
KEYS = (
    "SpecificCharacterSet=ISO_IR 192", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "AccessionNumber", "StudyInstanceUID", "RequestedProcedureDescription", "RequestedProcedureID",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime",
    "ScheduledProcedureStepSequence[0].ScheduledStationAETitle",
)  # fmt: skip


def program(name: str) -> str:
    """Return the path of a program of dcmtk; skip the test, by name, without it."""
    found = os.environ.get(f"{name.upper()}_BIN") or shutil.which(name)
    if not found:
        pytest.skip(f"NOT TESTED with {name}: dcmtk is not installed")
    return found


def ask(port: int, folder: Path, *keys: str, caller: str = "VAN1"):
    """Return what findscu says, and the answers that it received."""
    folder.mkdir()
    arguments = [part for key in keys for part in ("-k", key)]
    run = subprocess.run(
        [program("findscu"), "-W", "-v", "-aet", caller, "-aec", "XRAYSITE", "-X", "-od",
         str(folder), "127.0.0.1", str(port), *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return run, [pydicom.dcmread(path, force=True) for path in sorted(folder.iterdir())]


@pytest.fixture
def van(db) -> Peer:
    return Peer.objects.create(ae_title="VAN1", networks="127.0.0.0/8")


def taken(answer: Dataset, path: Path) -> Path:
    """Write the film that a machine takes for an answer of the worklist."""
    pixels = synthetic_film("NORMAL", seed=6, size=200)
    content = encode_dicom(
        pixels, patient_name=str(answer.PatientName), patient_id=answer.PatientID, age=None,
        birth_date=answer.PatientBirthDate, PatientSex=answer.PatientSex,
        AccessionNumber=answer.AccessionNumber, StudyInstanceUID=answer.StudyInstanceUID,
        SeriesInstanceUID=f"{answer.StudyInstanceUID}.1",
    )  # fmt: skip
    path.write_bytes(content)
    return path


def test_from_the_worklist_to_the_performed_order(
    van, doctor, lenient_model, settings, tmp_path, caplog
):
    caplog.set_level(logging.INFO)
    settings.BATCH_THREAD = True
    RoutingRule.objects.create(name="all", doctor=doctor)
    order = make_order(doctor)
    make_order(doctor, patient_number="B1", name_ideographic="", modality="CR")
    today = f"ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate={TOMORROW:%Y%m%d}"
    only_dx = "ScheduledProcedureStepSequence[0].Modality=DX"
    with listening() as process:
        port = process.ports[0]
        run, (answer,) = ask(port, tmp_path / "all", *KEYS, today, only_dx)
        assert run.returncode == 0, run.stderr
        assert str(answer.PatientName) == "Chen^Wei-Lun=陳^威倫=ㄔㄣˊ^ㄨㄟ ㄌㄨㄣˊ"
        assert (answer.PatientID, answer.PatientBirthDate) == ("A123", "20230501")
        assert answer.AccessionNumber == order.accession_number
        assert answer.StudyInstanceUID == order.study_uid
        step = answer.ScheduledProcedureStepSequence[0]
        assert (step.ScheduledProcedureStepStartTime, step.ScheduledStationAETitle) == (
            "093000", "VAN1",
        )  # fmt: skip
        by_name = ("SpecificCharacterSet=ISO_IR 192", "PatientName=*威倫", "PatientID")
        _run, (found,) = ask(port, tmp_path / "name", *by_name)
        assert found.PatientID == "A123"
        refused, answers = ask(port, tmp_path / "other", *KEYS, caller="VAN9")
        assert answers == []
        assert "Association Rejected" in refused.stderr
        film = taken(answer, tmp_path / "film.dcm")
        sent = subprocess.run(
            [program("storescu"), "-aet", "VAN1", "-aec", "XRAYSITE", "127.0.0.1", str(port),
             str(film)],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert sent.returncode == 0, sent.stderr
        until(lambda: Reading.objects.worklist_of(doctor).exists(), seconds=30)
    order.refresh_from_db()
    assert order.state == OrderState.PERFORMED
    (arrived,) = order.films.all()
    assert (arrived.differences, arrived.reading.patient_name) == ([], "陳威倫")
    assert AuditEntry.objects.filter(what="worklist-queried").count() == 2
    # The log has neither the names of a query nor those of an answer.
    assert "威" not in caplog.text
    assert "Chen" not in caplog.text


def test_a_machine_reports_its_steps_over_the_network(van, doctor):
    order = make_order(doctor)
    begun, item, ended = Dataset(), Dataset(), Dataset()
    item.StudyInstanceUID = order.study_uid
    begun.ScheduledStepAttributesSequence = Sequence([item])
    begun.PerformedProcedureStepStatus = "IN PROGRESS"
    ended.PerformedProcedureStepStatus = "COMPLETED"
    with listening() as process:
        machine = associate(process, contexts=(ModalityPerformedProcedureStep,))
        kind = ModalityPerformedProcedureStep
        status, _reply = machine.send_n_create(begun, kind, "1.2.3.4")
        assert status.Status == 0x0000
        status, _reply = machine.send_n_set(ended, kind, "1.2.3.4")
        assert status.Status == 0x0000
        status, _reply = machine.send_n_set(ended, kind, "1.2.3.4")
        assert status.Status == 0x0110
        machine.release()
    assert PerformedStep.objects.get(order=order).status == "COMPLETED"
