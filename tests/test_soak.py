"""The mutated files of `make soak`, and a short run of it."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from django.urls import reverse

from tests.films import mutations

ROOT = Path(__file__).resolve().parent.parent


def test_there_are_many_kinds_of_every_format():
    assert len(mutations.KINDS) >= 40
    assert {name for name, _ in mutations.KINDS.values()} == set(mutations.BASES)


@pytest.mark.parametrize("kind", mutations.KINDS)
def test_each_kind_changes_the_file_and_follows_its_seed(kind):
    name, _ = mutations.KINDS[kind]
    drawn = [mutations.mutated(kind, seed) for seed in range(4)]
    assert mutations.base(name) not in drawn
    assert drawn == [mutations.mutated(kind, seed) for seed in range(4)]
    # Some edits have few outcomes, but none has only one.
    assert len({mutations.mutated(kind, seed) for seed in range(12)}) > 1


@pytest.mark.parametrize(
    ("view", "outcome"),
    [("readings:detail", "acknowledged"), ("readings:check", "asked"), ("readings:list", "error")],
)
def test_a_redirect_counts_by_the_page_it_leads_to(monkeypatch, view, outcome):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    from soak_site import Answer

    address = reverse(view, args=[] if view == "readings:list" else [uuid.uuid4()])
    assert Answer(302, address, "", 0.1).outcome == outcome


@pytest.mark.slow
@pytest.mark.xdist_group("served-site")
def test_a_short_run_loses_nothing(tmp_path):
    out = tmp_path / "soak.json"
    done = subprocess.run(
        [sys.executable, "benchmarks/soak.py", "--minutes", "0.5", "--inputs", "20",
         "--clients", "2", "--json", str(out)],
        cwd=ROOT, env=os.environ, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert found["load"]["acknowledged"] > 0
    assert sum(found["inputs"]["outcomes"].values()) >= 20
    assert found["lost"] == []
    assert {fault["name"] for fault in found["faults"]} >= {"worker killed", "decoder killed"}
