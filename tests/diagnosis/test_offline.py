"""Keys of X-rays that wait in a browser: each account its own, one X-ray at a time."""

import base64
import json
import uuid

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.test import Client
from django.urls import reverse

from diagnosis.services import pending
from diagnosis.services.offline import public_key
from tests.conftest import post_film

SENDER = ec.generate_private_key(ec.SECP256R1())
EPHEMERAL = SENDER.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
SUBMISSION = uuid.uuid4()


def browser_key(point: bytes) -> bytes:
    """Derive the key as static/js/offline/seal.js does."""
    receiver = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    derivation = HKDF(
        algorithm=SHA256(),
        length=32,
        salt=EPHEMERAL + point,
        info=f"xraysite offline film {SUBMISSION}".encode(),
    )
    return derivation.derive(SENDER.exchange(ec.ECDH(), receiver))


def opened(client: Client, key_id: str, **changes: str):
    sent = {
        "submission": str(SUBMISSION),
        "ephemeral": base64.b64encode(EPHEMERAL).decode(),
        "key_id": key_id,
    }
    return client.post(reverse("readings:offline_open"), sent | changes)


def test_only_the_account_gets_the_key(as_doctor, as_other_doctor):
    told = as_doctor.get(reverse("readings:offline_key")).json()
    response = opened(as_doctor, told["id"])
    assert base64.b64decode(response.json()["key"]) == browser_key(base64.b64decode(told["key"]))
    assert response.json()["location"] is None
    assert opened(as_other_doctor, told["id"]).status_code == 410


def test_a_new_secret_key_opens_what_the_old_one_sealed(as_doctor, doctor, settings):
    old = public_key(doctor)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another key of the tests, which guards nothing either"
    assert public_key(doctor).id != old.id
    as_doctor.force_login(doctor)
    assert base64.b64decode(opened(as_doctor, old.id).json()["key"]) == browser_key(old.point)
    settings.SECRET_KEY_FALLBACKS = []
    assert opened(as_doctor, old.id).status_code == 410


@pytest.mark.parametrize(
    "changes",
    [
        {"submission": "none"},
        {"ephemeral": "?"},
        {"ephemeral": base64.b64encode(b"\x04" + b"\x01" * 64).decode()},
        {"ephemeral": ""},
    ],
)
def test_what_is_no_request_is_refused(as_doctor, doctor, changes):
    assert opened(as_doctor, public_key(doctor).id, **changes).status_code == 400


def test_a_film_that_has_arrived_is_not_sent_again(as_doctor, doctor, reading, film_bytes):
    key_id = public_key(doctor).id
    response = opened(as_doctor, key_id, submission=str(reading.pk))
    assert response.json()["location"] == reading.get_absolute_url()
    # The same X-ray under another name asks for a decision first.
    post_film(as_doctor, film_bytes, submission=str(SUBMISSION), patient_name="林小美")
    asks = reverse("readings:check", args=[SUBMISSION])
    assert opened(as_doctor, key_id).json()["location"] == asks
    pending.drop_film(doctor, SUBMISSION)
    assert opened(as_doctor, key_id).json()["location"] is None


@pytest.mark.parametrize("language", ["en", "zh-hant"])
def test_manifest_and_kept_page_exist_in_each_language(client, db, language):
    manifest = client.get(f"/manifest/{language}/").json()
    assert manifest["lang"] == language
    assert {icon.get("purpose") for icon in manifest["icons"]} == {None, "maskable"}
    page = client.get(f"/offline/{language}/").content.decode()
    assert f'<html lang="{language}"' in page
    assert "csrfmiddlewaretoken" not in page
    assert client.get("/manifest/xx/").status_code == client.get("/offline/xx/").status_code == 404


def test_the_worker_keeps_static_files_and_names_the_version_of_the_page(client, db, settings):
    first = client.get("/service-worker.js")
    assert first.headers["Content-Type"].startswith("text/javascript")
    assert "no-cache" in first.headers["Cache-Control"]
    config = json.loads(first.content.decode().split(" = ", 1)[1].split(";\n")[0])
    assert (
        f'data-offline-version="{config["version"]}"' in client.get("/offline/en/").content.decode()
    )
    assert all(name.startswith("/static/") for name in config["files"])
    assert "/static/js/offline/seal.js" in config["files"], "imported modules are kept, too"
    settings.OFFLINE = False
    assert "retired.js" in client.get("/service-worker.js").content.decode()


def test_switched_off_nothing_is_offered(as_doctor, active_model, settings):
    settings.OFFLINE = False
    page = as_doctor.get("/readings/new/").content.decode()
    assert "data-line" not in page
    assert "data-keep-button" not in page
