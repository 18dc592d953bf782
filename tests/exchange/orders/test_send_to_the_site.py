"""The command for the van against the site itself."""

import pytest
from django.urls import Resolver404, resolve

from accounts.tokens.services import make_token
from diagnosis.batches import running
from diagnosis.models import BatchItem, Reading
from tests.exchange.orders.test_send import send
from tests.films import encode, encode_dicom, synthetic_film

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _api() -> None:
    try:
        resolve(send.UPLOAD)
    except Resolver404:
        pytest.skip(f"NOT TESTED with the API: the site has no {send.UPLOAD}")


def test_films_of_the_van_are_read_or_wait_in_the_inbox(
    live_server, doctor, lenient_model, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(send.signal, "signal", lambda *_: None)
    films = tmp_path / "films"
    films.mkdir()
    for seed in (1, 2):
        pixels = synthetic_film("NORMAL", seed=seed, size=160)
        named = {"patient_name": f"Doe^N{seed}", "patient_id": f"V{seed}"}
        (films / f"{seed}.dcm").write_bytes(encode_dicom(pixels, **named))
    (films / "photo.png").write_bytes(encode(synthetic_film("NORMAL", seed=3, size=160), "png"))
    _token, secret = make_token(owner=doctor, name="van", scopes=["readings:write"], days=30)
    token = tmp_path / "token"
    token.write_text(secret)
    token.chmod(0o600)

    def run(queue: str) -> int:
        status: int = send.main(
            [str(films), "--server", live_server.url, "--token-file", str(token), "--settle", "0",
             "--queue", str(tmp_path / queue)]
        )  # fmt: skip
        return status

    assert run("queue") == 0, capsys.readouterr()
    assert run("another-computer") == 0  # with a queue that knows nothing
    running.read_waiting("test")
    assert set(Reading.objects.values_list("patient_number", flat=True)) == {"V1", "V2"}
    assert {reading.doctor for reading in Reading.objects.all()} == {doctor}
    assert BatchItem.objects.count() == 3
    (asked,) = BatchItem.objects.in_inbox_of(doctor)
    assert asked.path == "photo.png"


def test_a_token_without_the_scope_is_not_accepted(
    live_server, doctor, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(send.signal, "signal", lambda *_: None)
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.dcm").write_bytes(b"film")
    _token, secret = make_token(owner=doctor, name="van", scopes=["readings:read"], days=30)
    monkeypatch.setenv("XRAYSITE_TOKEN", secret)
    status = send.main(
        [str(tmp_path / "films"), "--server", live_server.url, "--settle", "0",
         "--queue", str(tmp_path / "queue")]
    )  # fmt: skip
    assert status == 3
    assert "takes nothing from this account" in capsys.readouterr().err
