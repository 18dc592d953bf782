"""Fixtures for every test: users of each role, the shipped model, synthetic films."""

import copy
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import Group
from django.core import serializers
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db.backends.postgresql.operations import DatabaseOperations
from django.db.models.signals import post_migrate
from django.test import Client
from django.utils import translation
from pytest_django.fixtures import Settings

from accounts import two_factor
from accounts.models import User
from diagnosis.models import Reading
from forum.models import Category
from mlcore import evaluations, gates, registry
from mlcore.models import ModelVersion
from mlcore.registry import LoadedModel
from tests import factories, locks
from tests.films import encode, synthetic_film
from xraysite.common import readiness

SHIPPED_MODEL: str = settings.SHIPPED_MODEL


# Groups (`xdist_group`) that take 30 seconds or more, longest first. A worker runs a group alone,
# so one that started late would be all that is left to do.
LONG_GROUPS = (
    "training", "training-members", "lung-training", "training-loop", "notebook", "benchmarks",
    "serve-set", "workers", "workers-rq", "backup-bucket", "move-to", "backup", "backup-refusals",
)  # fmt: skip
# These flush the database, as do other tests that pytest-django puts last.
LONG_LAST_GROUPS = ("e2e-test_pages", "e2e-test_board", "e2e-test_sharing", "e2e-test_signing_in")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start long groups first; otherwise keep the order."""
    order = {name: place for place, name in enumerate((*LONG_GROUPS, None, *LONG_LAST_GROUPS))}

    def place(item: pytest.Item) -> int:
        marker = item.get_closest_marker("xdist_group")
        name = marker.args[0] if marker else None
        if name in order:
            return order[name]
        return len(order) if name and name.startswith("e2e-") else order[None]

    items.sort(key=place)


@pytest.fixture(autouse=True)
def _clean_private_folder() -> Iterator[None]:
    """Start each test without stored films."""
    yield
    shutil.rmtree(settings.PRIVATE_MEDIA_ROOT, ignore_errors=True)


@pytest.fixture(autouse=True)
def _try_every_check() -> None:
    """Start each test without what the checks of readiness found in the test before."""
    readiness.forget()


@pytest.fixture(scope="session", autouse=True)
def _flush_with_cascade() -> None:
    """Let transactional tests flush PostgreSQL, despite a foreign key of an unused table.

    The table is django-auditlog's own, which `AuditEntry` replaces.
    """
    emptied = DatabaseOperations.sql_flush

    def sql_flush(self, style, tables, *, reset_sequences=False, allow_cascade=False):
        return emptied(self, style, tables, reset_sequences=reset_sequences, allow_cascade=True)

    DatabaseOperations.sql_flush = sql_flush


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker) -> None:
    """Create the database; restore what migrations inserted whenever a test has flushed it.

    The tests that flush run last, but most of them need the roles and the categories too.
    """
    with django_db_blocker.unblock():
        rows = serializers.serialize(
            "json", [*Group.objects.all(), *Category.objects.all()], use_natural_foreign_keys=True
        )

    def restore(**_: object) -> None:
        for row in serializers.deserialize("json", rows):
            row.save()

    # `flush` sends the signal for each app in turn; the permissions exist after the last.
    last = [app for app in apps.get_app_configs() if app.models_module][-1]
    post_migrate.connect(restore, sender=last, weak=False)


@pytest.fixture(autouse=True)
def _default_language() -> None:
    """Start each test in the default language, whatever the test before activated."""
    translation.deactivate()


@pytest.fixture(scope="session")
def shipped_bundle() -> LoadedModel:
    """The shipped bundle, verified once for all tests of this process."""
    return registry.load(registry.folder_of(SHIPPED_MODEL))


@pytest.fixture(scope="session")
def lenient_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the shipped bundle with a scope gate that lets every image through."""
    folder = tmp_path_factory.mktemp("lenient") / SHIPPED_MODEL
    shutil.copytree(registry.folder_of(SHIPPED_MODEL), folder)
    card = json.loads((folder / "card.json").read_text())
    card["scope"]["threshold"] = 1e9
    (folder / "card.json").write_text(json.dumps(card))
    return folder


@pytest.fixture(scope="session")
def lenient_bundle(lenient_folder: Path) -> LoadedModel:
    return registry.load(lenient_folder)


# The gates have their own tests; the models of others need not pass them.
OVERRIDES = [f"{name}=a model for tests" for name in gates.NAMES]


MEASURED: dict[tuple[str, str], Any] = {}


def measured_once(bundle: LoadedModel) -> AbstractContextManager[Any]:
    """Count the outcomes in a bundle's `predictions.csv` once, not at each registration."""
    measure = evaluations.outcomes.of_predictions

    def of_predictions(content: bytes, *, split: str, card: dict[str, Any]) -> Any:
        key = bundle.sha256, split
        if key not in MEASURED:
            MEASURED[key] = measure(content, split=split, card=card)
        return copy.deepcopy(MEASURED[key])

    return mock.patch.object(evaluations.outcomes, "of_predictions", of_predictions)


def activated(bundle: LoadedModel) -> ModelVersion:
    """Activate a bundle as the command does, but without verifying and measuring it again.

    Either takes longer than most tests. `tests/mlcore/test_bundle.py` activates bundles with
    both.
    """
    with mock.patch.object(registry, "load", return_value=bundle), measured_once(bundle):
        call_command(
            "activate_model",
            bundle.name,
            override=OVERRIDES,
            confirm_worse=True,
            confirm_uncompared=True,
            verbosity=0,
        )
    return ModelVersion.objects.get(name=bundle.name)


@pytest.fixture
def active_model(db: None, shipped_bundle: LoadedModel) -> ModelVersion:
    """The shipped bundle, registered and active: tests read films with the real model."""
    return activated(shipped_bundle)


@pytest.fixture
def lenient_model(
    db: None, lenient_bundle: LoadedModel, lenient_folder: Path, settings: Settings
) -> ModelVersion:
    """The shipped network with a scope gate that lets every image through.

    Synthetic films are rightly flagged by the real gate, so tests of pages for films inside the
    scope use this model.
    """
    settings.BUNDLE_DIR = lenient_folder.parent
    return activated(lenient_bundle)


@pytest.fixture
def doctor(db: None) -> User:
    return factories.DoctorFactory(display_name="王怡君")


@pytest.fixture
def other_doctor(db: None) -> User:
    return factories.DoctorFactory()


@pytest.fixture
def supervisor(db: None) -> User:
    return factories.SupervisorFactory()


@pytest.fixture
def ml_engineer(db: None) -> User:
    return factories.MLStaffFactory()


def signed_in(user: User) -> Client:
    """Return an English browser signed in as `user`, for staff with two-factor authentication."""
    client = Client(headers={"accept-language": "en"})
    client.force_login(user)
    if two_factor.is_required(user):
        give_two_factor_code(client, user)
    return client


def give_two_factor_code(client: Client, user: User) -> None:
    """Mark the session as having given a code of the account's authenticator app."""
    factor = Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).first()
    if factor is None:
        factor = TOTP.activate(user, generate_totp_secret()).instance
    session = client.session
    session["account_authentication_methods"] = [
        {"method": "mfa", "at": time.time(), "id": factor.pk, "type": factor.type}
    ]
    session["account_authentication_methods_user"] = str(user.pk)
    session.save()


@pytest.fixture
def as_doctor(doctor: User) -> Client:
    return signed_in(doctor)


@pytest.fixture
def as_other_doctor(other_doctor: User) -> Client:
    return signed_in(other_doctor)


@pytest.fixture
def as_supervisor(supervisor: User) -> Client:
    return signed_in(supervisor)


@pytest.fixture
def as_ml_engineer(ml_engineer: User) -> Client:
    return signed_in(ml_engineer)


@pytest.fixture(scope="session")
def serve_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with only the packages of requirements-serve.txt."""
    locked = locks.pins_for((locks.ROOT / "requirements-serve.txt").read_text())
    return locks.make_environment(tmp_path_factory.mktemp("serve") / "venv", locked)


@pytest.fixture(scope="session")
def film_bytes() -> bytes:
    """A synthetic film as a PNG file."""
    return encode(synthetic_film("NORMAL", seed=1, size=512), "png")


def upload_of(data: bytes, name: str = "film.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, content_type="application/octet-stream")


def settled(client: Client, address: str) -> str:
    """Return the URL to which an address leads: that of a search has no text any more."""
    return str(client.get(address).headers["Location"]) if "?q=" in address else address


def patient_details(**changes: object) -> dict[str, object]:
    """Return the patient details of the form, with `changes`."""
    return {
        "patient_name": "陳小明",
        "patient_number": "A123",
        "patient_age_years": 3,
        "exam_date": "2026-01-02",
    } | changes


def post_film(client: Client, data: bytes, name: str = "film.png", **changes: object):
    """Submit the form of a new reading as a browser does."""
    import uuid

    fields = {"submission": str(uuid.uuid4())} | patient_details(**changes)
    return client.post("/readings/new/", fields | {"film": upload_of(data, name)})


@pytest.fixture
def reading(active_model: ModelVersion, as_doctor: Client, film_bytes: bytes) -> Reading:
    """The doctor's reading of a synthetic film, uploaded through the page."""
    response = post_film(as_doctor, film_bytes)
    assert response.status_code == 302, response.content.decode()
    return Reading.objects.get()
