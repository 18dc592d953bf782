"""From an order to the health record, with the programs that hospitals use.

`findscu` asks the worklist, `storescu` sends the X-ray, the doctor signs, Orthanc gets the result
in the same study, and the FHIR Bundle is checked by R4's definitions.
"""

import io
import json
import subprocess
import time
from pathlib import Path

import pytest
from django.core.management import call_command
from pydicom import dcmread

from accounts.models import AuditEntry, User
from diagnosis.models import Reading
from exchange.incoming.models import Peer, RoutingRule
from exchange.orders.models import Order, OrderState
from exchange.outgoing import running
from exchange.outgoing.models import Delivery
from tests.conftest import signed_in
from tests.exchange.fhir.validation import assert_valid
from tests.exchange.orders.ordering import make_order
from tests.exchange.orders.test_findscu import KEYS, ask, program, taken
from tests.exchange.outgoing.results import EVERYTHING, objects_of, sign, target
from tests.exchange.outgoing.test_orthanc import Orthanc, differences, orthanc
from tests.exchange.test_listening import listening, until

__all__ = ["orthanc"]  # the fixture

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.xdist_group("story"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
NAME = "Chen^Wei-Lun=陳^威倫=ㄔㄣˊ^ㄨㄟ ㄌㄨㄣˊ"


def test_from_the_order_to_the_health_record(
    lenient_model, doctor, other_doctor, settings, tmp_path, orthanc
):
    settings.BATCH_THREAD = True
    Peer.objects.create(ae_title="VAN1", networks="127.0.0.0/8")
    RoutingRule.objects.create(name="van", calling_ae="VAN1", doctor=doctor)
    # The model of the tests is unsure of this film.
    target(ae_title="ORTHANC", port=orthanc.dicom_port, sends_unsure=True, **EVERYTHING)
    order = make_order(doctor)

    reading, seconds = _take_the_film(order, doctor, tmp_path)
    assert seconds < 10, "two on a machine that does nothing else"
    assert str(reading.pk) in signed_in(doctor).get("/readings/").content.decode()
    assert not Reading.objects.worklist_of(other_doctor).exists()
    order.refresh_from_db()
    assert order.state == OrderState.PERFORMED
    assert not Delivery.objects.exists(), "nothing leaves before the doctor has signed"

    sign(reading, "NORMAL")
    running.send_due("test")
    assert Delivery.objects.get().state == "SENT"
    _is_in_the_archive(orthanc, reading, order)
    _is_a_valid_bundle(reading)
    whats = set(AuditEntry.objects.values_list("what", flat=True))
    assert whats >= {"worklist-queried", "opinion-signed", "result-sent", "fhir-exported"}


def _take_the_film(order: Order, doctor: User, folder: Path) -> tuple[Reading, float]:
    """Ask the worklist and send the film; return the reading, and the seconds until it is there."""
    with listening() as process:
        port = process.ports[0]
        run, (answer,) = ask(port, folder / "worklist", *KEYS)
        assert run.returncode == 0, run.stderr
        assert str(answer.PatientName) == NAME
        assert answer.StudyInstanceUID == order.study_uid
        film = taken(answer, folder / "film.dcm")
        command = [program("storescu"), "-aet", "VAN1", "-aec", "XRAYSITE", "127.0.0.1", str(port)]
        begun = time.monotonic()
        subprocess.run([*command, film], capture_output=True, timeout=60, check=True)
        until(lambda: Reading.objects.worklist_of(doctor).exists(), seconds=30)
        return Reading.objects.worklist_of(doctor).get(), time.monotonic() - begun


def _is_in_the_archive(orthanc: Orthanc, reading: Reading, order: Order) -> None:
    """Compare what Orthanc has of the study with what was sent, element by element."""
    stored = orthanc.instances()
    made = objects_of(reading)
    assert set(made) == {"sr", "sc", "seg", "pdf"}
    for kind, each in made.items():
        received = stored[each.uid]
        assert differences(dcmread(io.BytesIO(each.data)), received) == [], kind
        assert received.StudyInstanceUID == order.study_uid
        assert received.AccessionNumber == order.accession_number
        assert str(received.PatientName) == NAME


def _is_a_valid_bundle(reading: Reading) -> None:
    printed = io.StringIO()
    call_command("export_fhir", str(reading.pk), "--pdf", stdout=printed)
    bundle = json.loads(printed.getvalue())
    resources = [entry["resource"] for entry in bundle["entry"]]
    assert {each["resourceType"] for each in resources} >= {
        "Patient", "ImagingStudy", "DiagnosticReport", "Observation", "Device",
    }  # fmt: skip
    report = next(each for each in resources if each["resourceType"] == "DiagnosticReport")
    assert report["status"] == "final"
    assert_valid([bundle, *resources])
