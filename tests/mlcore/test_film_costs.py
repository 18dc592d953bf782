"""What a file may cost: it is refused in time, or its decoder is killed and replaced."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from mlcore.decoding import decode_film
from mlcore.engine.films.encoded import encode_film, film_from
from mlcore.engine.films.errors import FilmError
from mlcore.engine.films.film import read_film
from tests.films import encode, encode_dicom, synthetic_film
from tests.films.costly import (
    chunky_png,
    cut_jpeg_ls,
    endless_tiff,
    flat_webp,
    progressive_jpeg,
    rle_bitmap,
    scans_dicom,
)
from xraysite.common.decoders import pool, worker

FILM = synthetic_film("NORMAL", seed=3, size=128)
GOOD = encode(FILM, "png")


@pytest.fixture
def decoders(monkeypatch):
    """A pool of two processes for this test alone."""
    own = pool.Pool(2)
    monkeypatch.setattr(pool, "shared_pool", lambda: own)
    yield own
    own.close()


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (lambda: progressive_jpeg(3000, 1000), "too_complex"),
        (lambda: scans_dicom(3000, 1000), "too_complex"),
        (lambda: flat_webp(8000), "too_many_pixels"),
        (lambda: rle_bitmap(3000), "too_complex"),
        (lambda: chunky_png(400_000), "too_complex"),
        (lambda: endless_tiff(100_000), "animated"),
    ],
    ids=["scans", "scans_dicom", "webp", "rle_bmp", "png_chunks", "tiff_directories"],
)
def test_hostile_files_are_refused_before_they_are_decoded(data, code):
    content = data()
    started = time.process_time()
    with pytest.raises(FilmError) as refused:
        read_film(content)
    assert refused.value.code == code
    assert time.process_time() - started < 0.3


@pytest.mark.parametrize("kind", ["jpeg", "dicom"])
def test_a_film_is_the_same_from_another_process(kind):
    data = encode_dicom(FILM, patient_name="陳小明") if kind == "dicom" else encode(FILM, kind)
    here, there = read_film(data), decode_film(data)
    np.testing.assert_array_equal(here.pixels, there.pixels)
    assert not there.pixels.flags.writeable
    assert here.header == there.header
    for name in ("format", "sha256", "byte_size", "source_bits"):
        assert getattr(here, name) == getattr(there, name)


def test_refusals_are_the_same_from_another_process():
    for data in (b"", GOOD[:500], encode(FILM[:16, :16], "png"), b"PK\x03\x04" + bytes(200)):
        with pytest.raises(FilmError) as here:
            read_film(data)
        with pytest.raises(FilmError) as there:
            decode_film(data)
        assert str(there.value) == str(here.value)
        assert there.value.detail == here.value.detail


def test_a_film_that_takes_too_long_ends_its_decoder_only(decoders):
    decode_film(GOOD)
    first = decoders._idle[0].process.pid
    started = time.monotonic()
    with pytest.raises(pool.DecoderFailedError, match="time"):
        pool.run("tests.mlcore.greedy_tasks:spin", {}, b"")
    assert time.monotonic() - started < pool.MAX_SECONDS / 2
    assert not Path(f"/proc/{first}").exists()
    assert decode_film(GOOD).width == 128


def test_a_film_that_takes_too_much_memory_is_refused(decoders):
    with pytest.raises(pool.DecoderFailedError, match="memory"):
        pool.run("tests.mlcore.greedy_tasks:hoard", {}, b"")
    assert decode_film(GOOD).width == 128


def test_a_crash_of_a_decoder_is_an_error_about_the_file(decoders):
    with pytest.raises(pool.DecoderFailedError, match="crash"):
        pool.run("tests.mlcore.greedy_tasks:crash", {}, b"")
    assert decode_film(GOOD).width == 128


@pytest.mark.parametrize(
    ("code", "expected"),
    [("time", "too_slow"), ("memory", "too_much_memory"), ("crash", "undecodable")],
)
def test_failures_are_film_errors_with_a_sentence(code, expected, monkeypatch):
    def fail(*_args, **_options):
        raise pool.DecoderFailedError(code)

    monkeypatch.setattr(pool, "run", fail)
    with pytest.raises(FilmError) as refused:
        decode_film(GOOD)
    assert refused.value.code == expected
    assert "Export the X-ray again" in str(refused.value)


def test_killed_decoders_are_replaced_without_an_error(decoders):
    decoders.warm_up()
    for decoder in decoders._idle:
        os.kill(decoder.process.pid, signal.SIGKILL)
    assert decode_film(GOOD).width == 128
    assert not decoders.is_failing


def test_a_decoder_killed_while_it_decodes_is_tried_again(decoders):
    decoders.warm_up()
    victims = [decoder.process.pid for decoder in decoders._idle]
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(pool.run("tests.mlcore.greedy_tasks:doze", {}, b""))
    )
    thread.start()
    time.sleep(0.3)
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    thread.join(20)
    assert answers == [({"slept": True}, bytearray())]


def test_without_an_interpreter_the_error_is_clear_and_heals(decoders, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(pool.DecoderUnavailableError):
        decode_film(GOOD)
    assert decoders.is_failing
    monkeypatch.undo()
    monkeypatch.setattr(pool, "shared_pool", lambda: decoders)
    assert decode_film(GOOD).width == 128
    assert not decoders.is_failing


def test_decoders_are_replaced_after_a_number_of_files(decoders, monkeypatch):
    monkeypatch.setattr(pool, "MAX_FILES", 2)
    pids = set()
    for _ in range(4):
        decode_film(GOOD)
        pids |= {decoder.process.pid for decoder in decoders._idle}
    assert len(pids) == 2


def test_the_secrets_of_the_site_are_not_in_a_decoder(decoders, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "never to be seen")
    decode_film(GOOD)
    environment = Path(f"/proc/{decoders._idle[0].process.pid}/environ").read_bytes()
    assert b"never to be seen" not in environment


def test_decoders_end_with_their_web_process():
    code = (
        "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'xraysite.settings.test'\n"
        "import django; django.setup()\n"
        "from xraysite.common.decoders import pool\n"
        "pool.shared_pool().warm_up()\n"
        "print(*[each.process.pid for each in pool.shared_pool()._idle], flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    pids = done.stdout.split()
    assert len(pids) == 2
    until = time.monotonic() + 10
    while any(_runs(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in pids)


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_larger_films_may_take_longer(monkeypatch):
    from mlcore import decoding_task

    allowed: list[float] = []
    monkeypatch.setattr(worker, "allow_seconds", allowed.append)
    for side in (128, 4096):  # the worker caps it at MAX_CPU_SECONDS
        decoding_task.decode(
            {"max_bytes": 2**25, "max_pixels": 4096**2},
            encode(np.tile(FILM, (side // 128, side // 128)), "png"),
        )
    assert allowed == [worker.CPU_SECONDS, pytest.approx(6.7, abs=0.1)]


@pytest.mark.slow
def test_cut_jpeg_ls_is_refused_in_time(decoders):
    started = time.monotonic()
    with pytest.raises(FilmError) as refused:
        decode_film(cut_jpeg_ls(1600))
    assert refused.value.code in {"too_slow", "truncated", "corrupt"}
    assert time.monotonic() - started < pool.MAX_SECONDS


def test_an_error_hidden_behind_a_damaged_file_is_out_of_memory(monkeypatch):
    from mlcore.engine.films import encoded

    def read(*_args, **_limits):
        try:
            raise MemoryError
        except MemoryError as error:
            raise FilmError("corrupt", format="PNG") from error

    monkeypatch.setattr(encoded, "read_film", read)
    with pytest.raises(MemoryError):
        encode_film(GOOD, max_bytes=1, max_pixels=1)
    monkeypatch.undo()
    reply, pixels = encode_film(GOOD, max_bytes=2**20, max_pixels=2**20)
    assert film_from(reply, pixels.tobytes()).width == 128
