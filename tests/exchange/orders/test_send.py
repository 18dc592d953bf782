"""The command for the van: what it sends while connections break and the power fails."""

import datetime
import hashlib
import importlib.util
import ipaddress
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.exchange.orders.loopback import Uploads, serving
from tests.locks import ROOT

PROGRAM = ROOT / "clients" / "xraysite_send.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("xraysite_send", PROGRAM)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


send = load()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Wait for moments instead of minutes, and leave the signals of the tests alone."""
    monkeypatch.setattr(send, "FIRST_DELAY_S", 0.02)
    monkeypatch.setattr(send.signal, "signal", lambda *_: None)
    monkeypatch.setenv("XRAYSITE_TOKEN", "a-token")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Three films, one of them twice, beside what is no film."""
    folder = tmp_path / "films"
    (folder / "2026" / "11").mkdir(parents=True)
    for name, content in (
        ("a.dcm", b"A" * 300_000), ("2026/b.dcm", b"B"), ("2026/11/c.dcm", b"C" * 1000),
        ("again.dcm", b"B"), ("half.dcm.part", b"H"), (".hidden", b"X"), ("Thumbs.db", b"T"),
        ("empty.dcm", b""),
    ):  # fmt: skip
        (folder / name).write_bytes(content)
    return folder


def run(films: Path, server: Uploads | str, *more: str) -> int:
    address = server if isinstance(server, str) else f"http://127.0.0.1:{server.server_port}"
    queue = films.parent / "queue"
    status: int = send.main(
        [str(films), "--server", address, "--queue", str(queue), "--settle", "0", *more]
    )
    return status


CONTENTS = {b"A" * 300_000, b"B", b"C" * 1000}


def test_each_film_is_sent_once_under_the_hash_of_its_content(films, capsys):
    with serving() as server:
        assert run(films, server) == 0
        assert run(films, server) == 0
        (films / "again" / "later").mkdir(parents=True)
        (films / "again" / "later" / "copy.dcm").write_bytes(b"B")
        assert run(films, server) == 0
    assert set(server.stored.values()) == CONTENTS
    assert set(server.requests.values()) == {1}
    for key, content in server.stored.items():
        assert key == hashlib.sha256(content).hexdigest()
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer a-token"}
    assert "3 sent, 0 waiting, 0 refused." in capsys.readouterr().out
    assert not list((films.parent / "queue" / "spool").iterdir())


def test_broken_connections_are_tried_again_with_the_same_key(films):
    with serving("cut", "deaf", "cut", "deaf", "cut") as server:
        assert run(films, server) == 0
    assert set(server.stored.values()) == CONTENTS
    assert sum(server.requests.values()) == 8


def test_films_wait_in_the_queue_while_there_is_no_connection(films, capsys):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}"
    assert run(films, closed, "--give-up-after", "0.2") == 3
    said = capsys.readouterr()
    assert "No connection" in said.err
    assert "3 waiting" in said.out
    for path in films.rglob("*.dcm"):
        path.unlink()  # the machine needs the space
    with serving() as server:
        assert run(films, server) == 0
    assert set(server.stored.values()) == CONTENTS


def test_the_server_says_when_and_why(films, capsys):
    refused = (422, {}, {"detail": "The file is not an X-ray."})
    busy = (503, {"Retry-After": "0"}, {"detail": "Busy."})
    with serving(busy, refused, (429, {"Retry-After": "0"}, {}), (500, {}, {})) as server:
        assert run(films, server) == 1
        said = capsys.readouterr()
        assert "The file is not an X-ray." in said.out
        assert "2 sent, 0 waiting, 1 refused." in said.out
        assert len(server.stored) == 2
        assert run(films, server) == 1  # refused once is refused
        assert len(server.stored) == 2
        assert run(films, server, "--retry-refused") == 0
    assert set(server.stored.values()) == CONTENTS


def test_a_refused_film_is_kept_although_its_original_is_gone(films):
    with serving((413, {}, {"detail": "Too large for the proxy."})) as server:
        assert run(films, server) == 1
        for path in films.rglob("*.dcm"):
            path.unlink()  # the machine needs the space
        assert run(films, server, "--retry-refused") == 0
    assert set(server.stored.values()) == CONTENTS


def test_a_page_that_only_looks_like_an_answer_loses_nothing(films, capsys):
    with serving((200, {"Retry-After": "0"}, {"maintenance": True})) as server:
        assert run(films, server) == 0
        assert "does not say that it has the file" in capsys.readouterr().err
    assert set(server.stored.values()) == CONTENTS


@pytest.mark.skipif(os.name != "posix", reason="Windows' names are Unicode")
def test_names_in_other_character_sets_and_with_line_ends_are_sent(films):
    strange = os.fsencode(films) + b"/" + "陳\r\nX: 1.dcm".encode("big5")
    Path(os.fsdecode(strange)).write_bytes(b"D")
    with serving() as server:
        assert run(films, server) == 0
        assert run(films, server, "--dry-run") == 0
    assert set(server.stored.values()) == {*CONTENTS, b"D"}
    assert sum(server.requests.values()) == 4
    assert [name for name in server.names.values() if name.endswith("__X: 1.dcm")]


def test_a_token_that_is_not_accepted_loses_nothing(films, capsys):
    with serving((401, {}, {"detail": "The token has expired."})) as server:
        assert run(films, server) == 3
        assert "The token has expired." in capsys.readouterr().err
        assert run(films, server) == 0
    assert set(server.stored.values()) == CONTENTS


def test_a_damaged_queue_is_filled_again(films):
    with serving((401, {}, {})) as server:
        run(films, server)
        copies = sorted((films.parent / "queue" / "spool").iterdir())
        copies[0].write_bytes(b"damaged")
        copies[1].unlink()
        (films.parent / "queue" / "spool" / ".part-left").write_bytes(b"by a killed process")
        assert run(films, server) == 0
    assert set(server.stored.values()) == CONTENTS


def test_a_film_that_is_still_written_is_not_taken(tmp_path):
    folder = send.Folder(tmp_path, 0.1)
    film = tmp_path / "film.dcm"
    film.write_bytes(b"1")
    assert list(folder.finished()) == []
    time.sleep(0.12)
    film.write_bytes(b"12")
    assert list(folder.finished()) == []
    assert not folder.is_settled()
    time.sleep(0.12)
    assert [path for path, _size, _time in folder.finished()] == [film]


def test_nothing_is_sent_on_a_dry_run(films, capsys):
    with serving() as server:
        assert run(films, server, "--dry-run") == 0
        said = capsys.readouterr().out
        assert "2026/b.dcm" in said
        assert "4 files to send" in said
        run(films, server)
        assert len(server.stored) == 3
        run(films, server, "--dry-run")
    assert "0 files to send" in capsys.readouterr().out


def test_wrong_usage_is_explained_before_anything_is_sent(films, tmp_path, monkeypatch, capsys):
    def said(server="https://example.org", *more: str) -> str:
        assert run(films, server, *more) == 2
        return capsys.readouterr().err

    assert "encrypted only" in said("http://xray.example.org")
    assert "No address of a server" in said("xray.example.org")
    token = tmp_path / "token"
    token.write_text("secret")
    token.chmod(0o644)
    assert "chmod 600" in said("https://example.org", "--token-file", str(token))
    assert "must not be in the folder" in said("https://e.org", "--queue", str(films / "q"))
    monkeypatch.delenv("XRAYSITE_TOKEN")
    assert "Give a token" in said()
    first = send.Queue(tmp_path / "queue")
    monkeypatch.setenv("XRAYSITE_TOKEN", "a")
    assert "Another xraysite-send" in said()
    first.close()


def certificate(folder: Path) -> Path:
    """Write a key and a certificate of 127.0.0.1 that nobody else vouches for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "xray.test")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now).not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    text = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + made.public_bytes(pem)
    path = folder / "server.pem"
    path.write_bytes(text)
    return path


def test_the_servers_certificate_is_verified(films, tmp_path, capsys):
    pem = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    with serving(tls=context) as server:
        address = f"https://127.0.0.1:{server.server_port}"
        assert run(films, address, "--give-up-after", "0.1") == 3
        assert "certificate is not valid" in capsys.readouterr().err
        assert server.stored == {}
        own = films.parent / "own.pem"
        own.write_bytes(pem.read_bytes()[pem.read_bytes().index(b"-----BEGIN CERT") :])
        assert run(films, address, "--ca-file", str(own)) == 0
    assert set(server.stored.values()) == CONTENTS


def test_killed_again_and_again_it_sends_every_film_once(tmp_path):
    """Without our packages (-I -S), and with SIGKILL at any moment."""
    films = tmp_path / "films"
    films.mkdir()
    expected = set()
    for number in range(40):
        content = os.urandom(20_000) + bytes([number])
        expected.add(content)
        (films / f"{number}.dcm").write_bytes(content)
    token = tmp_path / "token"
    token.write_text("secret\n")
    token.chmod(0o600)
    with serving("cut", "deaf", "cut") as server:
        command = [
            sys.executable, "-I", "-S", str(PROGRAM), str(films), "--settle", "0",
            "--server", f"http://127.0.0.1:{server.server_port}", "--token-file", str(token),
            "--queue", str(tmp_path / "queue"),
        ]  # fmt: skip
        for wait in (0.15, 0.25, 0.3, 0.35):
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            time.sleep(wait)
            process.send_signal(signal.SIGKILL)
            process.wait()
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr
    assert "40 sent, 0 waiting, 0 refused.\n" in run.stdout
    assert set(server.stored.values()) == expected
    # Only those whose reply was lost were sent twice.
    assert sum(server.requests.values()) <= 40 + 3 + 4
    assert {headers["Authorization"] for headers in server.headers} == {"Bearer secret"}
