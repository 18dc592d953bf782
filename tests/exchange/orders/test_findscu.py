"""The worklist asked by a real program: `findscu` of dcmtk."""

import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from accounts.models import AuditEntry
from exchange.orders.worklist import handlers
from tests.exchange.orders.ordering import TOMORROW, make_order
from tests.factories import DoctorFactory

KEYS = (
    "SpecificCharacterSet=ISO_IR 192", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "AccessionNumber", "StudyInstanceUID", "RequestedProcedureDescription", "RequestedProcedureID",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartTime",
    "ScheduledProcedureStepSequence[0].ScheduledStationAETitle",
)  # fmt: skip


@pytest.fixture
def findscu() -> str:
    found = os.environ.get("FINDSCU_BIN") or shutil.which("findscu")
    if not found:
        pytest.skip("NOT TESTED with findscu: dcmtk is not installed")
    return found


@pytest.fixture
def port(transactional_db: None) -> Iterator[int]:
    """The port of a listener that answers VAN1 alone."""
    entity = AE("XRAYSITE")
    for context in (Verification, *handlers.CONTEXTS):
        entity.add_supported_context(context)

    def is_van(event) -> bool:
        return event.assoc.requestor.ae_title == "VAN1"

    server = entity.start_server(
        ("127.0.0.1", 0), block=False, evt_handlers=handlers.handlers(is_van)
    )
    yield server.server_address[1]
    server.shutdown()
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and "AE" in type(thread).__name__:
            thread.join(5)


def ask(program: str, port: int, folder: Path, *keys: str, caller: str = "VAN1"):
    """Return what findscu says, and the answers that it received."""
    folder.mkdir()
    arguments = [part for key in keys for part in ("-k", key)]
    run = subprocess.run(
        [program, "-W", "-v", "-aet", caller, "-aec", "XRAYSITE", "-X", "-od", str(folder),
         "127.0.0.1", str(port), *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return run, [pydicom.dcmread(path, force=True) for path in sorted(folder.iterdir())]


def test_findscu_receives_the_worklist_with_chinese_names(findscu, port, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    doctor = DoctorFactory()
    order = make_order(doctor)
    make_order(doctor, patient_number="B1", name_ideographic="", modality="CR")
    today = f"ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate={TOMORROW:%Y%m%d}"
    only_dx = "ScheduledProcedureStepSequence[0].Modality=DX"
    run, (answer,) = ask(findscu, port, tmp_path / "all", *KEYS, today, only_dx)
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
    _run, (answer,) = ask(findscu, port, tmp_path / "name", *by_name)
    assert answer.PatientID == "A123"
    refused, answers = ask(findscu, port, tmp_path / "other", *KEYS, caller="VAN9")
    assert answers == []
    assert "0x124" in refused.stderr
    # The log of the server has neither the names of the query nor those of the answer.
    assert "威" not in caplog.text
    assert "Chen" not in caplog.text
    rows = AuditEntry.objects.filter(what__startswith="worklist-").order_by("pk")
    assert [row.what for row in rows] == ["worklist-queried"] * 2 + ["worklist-refused"]
