"""The temporary site of the screenshots: accounts, readings, a batch, a lenient model."""

import datetime
import io
import json
import os
import shutil
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PATIENTS = ["陳小明", "林小美", "Emma Chang", "張育安", "李承恩", "Noah Wu", "黃品妍", "吳宥廷"]
PROBABILITIES = [0.981, 0.043, 0.212, 0.667, 0.018, 0.994, 0.108, 0.031]
# Each is signed in once: a code of an authenticator app is accepted once in 30 seconds.
SUPERVISORS = 6
MODEL = "pneumonia-3"


@dataclass
class Filled:
    """What the site was filled with.

    Attributes:
        keys: the keys that pages of the tour are about, by what they are.
        supervisors: email and secret of the authenticator app of each supervisor.
    """

    keys: dict[str, Any] = field(default_factory=dict)
    supervisors: list[tuple[str, str]] = field(default_factory=list)


def prepare_site(folder: Path) -> Filled:
    """Create a database with accounts and readings, and a model that accepts synthetic films."""
    bundles = folder / "bundles"
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "xraysite.settings.local",
        "DJANGO_ALLOW_ASYNC_UNSAFE": "true",
        "XRAYSITE_VAR": str(folder),
        "LOG_LEVEL": "ERROR",
        "WEB_CONCURRENCY": "1",
    }
    shutil.copytree(ROOT / "mlcore" / "bundles" / MODEL, bundles / MODEL)
    card_file = bundles / MODEL / "card.json"
    card = json.loads(card_file.read_text())
    card["scope"]["threshold"] = 1e9
    card_file.write_text(json.dumps(card))
    import django
    from django.core.management import call_command

    django.setup()
    from django.conf import settings

    from mlcore import gates

    settings.BATCH_THREAD = False  # `add_batch` reads the files itself, and then this process ends

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    # The overrides that ship are for the shipped bundle, of which this one is a changed copy.
    reasons = [f"{name}=a copy for screenshots" for name in gates.NAMES]
    call_command("activate_model", MODEL, override=reasons, verbosity=0)
    filled = Filled(keys={"model": MODEL})
    add_people(filled)
    add_readings(filled)
    add_batch(filled)
    return filled


def add_people(filled: Filled) -> None:
    from accounts.models import User
    from tests.e2e.conftest import add_authenticator_app
    from tests.factories import DoctorFactory, SupervisorFactory, UserFactory

    DoctorFactory(email="doctor@example.org", display_name="王怡君")
    DoctorFactory(email="second@example.org", display_name="許志豪")
    UserFactory(email="waiting@example.org", approval=User.Approval.PENDING)
    for number in range(SUPERVISORS):
        email = f"supervisor{number or ''}@example.org"
        supervisor = SupervisorFactory(email=email, display_name="林淑芬")
        filled.supervisors.append((email, add_authenticator_app(supervisor)))


def add_readings(filled: Filled) -> None:
    """Read synthetic films of several patients as two doctors, spread over four weeks."""
    from django.utils import timezone

    from accounts.models import User
    from diagnosis.models import Reading
    from diagnosis.services.opinions import review_reading
    from diagnosis.services.readings import PatientDetails, submit_reading
    from diagnosis.validators import validate_film
    from tests.conftest import upload_of
    from tests.films import encode, synthetic_film

    emails = ["doctor@example.org", "second@example.org"]
    doctors = [User.objects.get(email=email) for email in emails]
    now = timezone.now()
    for index, name in enumerate(PATIENTS * 2):
        film = synthetic_film(
            "PNEUMONIA" if index % 3 == 0 else "NORMAL", seed=40 + index, size=512
        )
        when = now - datetime.timedelta(days=index * index % 23 + 1, minutes=17 * index)
        doctor = doctors[index >= len(PATIENTS)]
        age = 9 if name == "吳宥廷" else 1 + index % 5
        reading = submit_reading(
            doctor=doctor,
            upload=validate_film(upload_of(encode(film, "png"))),
            patient=PatientDetails(name, age, when.date(), f"P{4100 + index * 7}"),
            submission=uuid.uuid4(),
        )
        row = Reading.objects.filter(pk=reading.pk)
        row.update(created_at=when)
        if reading.is_out_of_scope:
            continue
        reading.refresh_from_db()
        make_up_result(reading, PROBABILITIES[index % len(PATIENTS)])
        if index % 8 in (0, 1, 4, 5):
            verdict = "PNEUMONIA" if index % 8 == 0 else "NORMAL"
            review_reading(doctor=doctor, reading_id=reading.pk, verdict=verdict)
        if index == 2:
            filled.keys["without opinion"] = reading.pk
        if index == 0:
            filled.keys["reading"] = reading.pk
            # Readings belong to patients once these are rows of their own.
            patient = getattr(getattr(reading, "study", None), "patient_id", None)
            if patient is not None:
                filled.keys["patient"] = patient


def make_up_result(reading: Any, probability: float) -> None:
    """Give a reading the probability, and the label that its rule gives it."""
    reading.label = "UNSURE"
    if probability < reading.normal_below:
        reading.label = "NORMAL"
    elif probability >= reading.pneumonia_from:
        reading.label = "PNEUMONIA"
    reading.probabilities = {"NORMAL": 1 - probability, "PNEUMONIA": probability}
    reading.probability_shown = probability
    reading.save()


def add_batch(filled: Filled) -> None:
    """Read some files as a batch; one has no patient, and one is no film."""
    from accounts.models import User
    from diagnosis.batches import reading, receiving
    from diagnosis.models import BatchItem
    from tests.films import encode, encode_dicom, synthetic_film

    doctor = User.objects.get(email="doctor@example.org")
    batch = receiving.begin_batch(doctor=doctor)
    people = [("Chou^Chih-Hsuan", "P6001"), ("Wang^Pin-Yu", "P6002"), ("Hsu^En", "P6003")]
    files = {
        f"van/{number}.dcm": encode_dicom(
            synthetic_film("PNEUMONIA" if seed == 1 else "NORMAL", seed=80 + seed, size=512),
            patient_name=name, patient_id=number, age="003Y", study_date="20261120",
        )
        for seed, (name, number) in enumerate(people)
    }  # fmt: skip
    files["van/scan.png"] = encode(synthetic_film("NORMAL", seed=90, size=512), "png")
    files["van/notes.jpg"] = b"this is no film"
    for path, content in files.items():
        receiving.add_file(doctor=doctor, batch_id=batch.pk, path=path, file=io.BytesIO(content))
    for item in BatchItem.objects.filter(batch_id=batch.pk):
        reading.read_item(item_id=item.pk, worker="screenshots")
    filled.keys["batch"] = batch.pk
