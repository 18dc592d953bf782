"""A file is written completely or not at all."""

import os

import pytest

from xraysite.common.atomic_write import write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("content", [b"new", [b"n", b"", b"ew"]], ids=["bytes", "chunks"])
def test_a_file_is_created_or_replaced_with_its_mode(tmp_path, content):
    path = tmp_path / "file"
    for mode in (0o600, 0o644):
        path.write_bytes(b"old and longer")
        write_atomically(path, content, mode=mode)
        assert path.read_bytes() == b"new"
        assert path.stat().st_mode & 0o777 == mode
        assert names(tmp_path) == ["file"]


def broken_chunks():
    yield b"half"
    raise RuntimeError("the source failed")


def test_a_failing_source_leaves_the_previous_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="the source failed"):
        write_atomically(path, broken_chunks())
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_previous_file(tmp_path, monkeypatch, call):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]
