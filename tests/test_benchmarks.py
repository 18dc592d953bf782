"""The benchmarks run and report every figure, whatever its value."""

import json
import os
import subprocess
import sys

import pytest

from tests import processes
from tests.films import write_dataset
from tests.processes import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("benchmarks")]


def run(name: str, *arguments: object, check: bool = True) -> subprocess.CompletedProcess:
    command = [f"benchmarks/{name}.py", *map(str, arguments)]
    env = os.environ | processes.QUIET
    if name == "bench_inference":  # it compares the memory of fresh processes
        done = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True,
            timeout=240, check=False,
        )  # fmt: skip
    else:
        done = processes.run(command, env=env, timeout=240)
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def test_inference_compares_litert_and_keras(tmp_path):
    out = tmp_path / "figures.json"
    printed = run(
        "bench_inference", "--repeats", 3, "--starts", 1, "--megapixels", 0.1,
        "--only", "litert", "predict", "--json", out,
    ).stdout  # fmt: skip
    found = json.loads(out.read_text())
    ours, theirs = (found["contestants"][name] for name in ("litert", "predict"))
    for figures in (ours, theirs):
        assert 0 < figures["best"] <= figures["median"] <= figures["p95"]
        assert figures["cold_s"] > 0
    # Both have to compute the same, or the comparison means nothing.
    assert ours["log_odds"] == pytest.approx(theirs["log_odds"], abs=1e-3)
    assert ours["memory_mb"] < theirs["memory_mb"]
    assert set(found["web"]["stages_ms"]) == {"decode", "read", "answer"}
    assert 0 < found["work"]["share_of_peak"] < 1.5
    assert found["work"]["macs"] > 1e6
    for said in ("median ms", "memory MB", "cold start", "GFLOP/s", "Memory of a web process"):
        assert said in printed


def test_multiply_accumulate_count():
    code = """
import sys
sys.path.insert(0, "benchmarks")
import keras
from bench_inference import macs
film = keras.Input((8, 8, 1))
x = keras.layers.Conv2D(4, 3, padding="same")(film)
x = keras.layers.Conv2D(2, 3, strides=2, padding="same")(x)
inner = keras.Model(film, keras.layers.Dense(5)(keras.layers.Flatten()(x)))
print(macs(keras.Model(film, inner(film))))
"""
    done = processes.run(["-c", code], env=os.environ | processes.QUIET, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 8 * 8 * 9 * 4 + 4 * 4 * 9 * 4 * 2 + 32 * 5


@pytest.mark.parametrize("source", ["drawn", "folder"])
def test_training_compares_the_pipeline_and_ready_batches(source, tmp_path):
    out = tmp_path / "figures.json"
    extra: tuple[object, ...] = ()
    if source == "folder":
        extra = ("--data", write_dataset(tmp_path / "set", per_class=8, size=96))
    run(
        "bench_training", "--arch", "seed_cnn", "--films", 16,
         "--image-size", 32, "--batch-size", 4, "--epochs", 2,
        "--json", out, *extra,
    )  # fmt: skip
    found = json.loads(out.read_text())
    assert found["films"] == 16
    assert found["training"]["films_per_s"] > 0
    assert found["steps_alone_films_per_s"] > 0
    assert 0 <= found["training"]["waited"] < 1


def test_folder_without_a_bundle_is_reported(tmp_path):
    done = run("bench_inference", "--bundle", tmp_path, check=False)
    assert done.returncode == 2
    assert "does not contain a bundle" in done.stderr


def test_forum_is_measured_at_two_sizes(tmp_path):
    out = tmp_path / "figures.json"
    printed = run("bench_forum", "--sizes", 30, 60, "--repeats", 1, "--json", out).stdout
    sizes = json.loads(out.read_text())["sizes"]
    assert set(sizes) == {"30", "60"}
    assert all(figures["median"] > 0 for figures in sizes["60"]["ms"].values())
    assert "search: two characters" in printed


def test_framing_is_measured_for_every_change(tmp_path):
    write_dataset(tmp_path / "films", per_class=2, size=224)
    out = tmp_path / "figures.json"
    run(
        "bench_framing", "--bundle", "tests/bundles/pneumonia-2", "--data", tmp_path / "films",
        "--originals", tmp_path / "films", "--json", out,
    )  # fmt: skip
    found = json.loads(out.read_text())
    assert len({row["change"] for row in found["rows"]}) == 12
    assert all(0 <= row["unsure"] <= 1 for row in found["rows"])
    # Films of 224 pixels are squashed already.
    assert found["originals"] == {"n": 4, "median": 0.0, "quantile_95": 0.0, "other_result": 0}


def test_load_is_measured_with_a_doctor_for_each_client(tmp_path):
    out = tmp_path / "figures.json"
    printed = run(
        "bench_load", "--clients", 2, "--seconds", 2, "--database", "sqlite", "--json", out
    ).stdout
    (found,) = json.loads(out.read_text())["databases"]["sqlite"]
    assert found["clients"] == 2
    assert (found["busy"], found["errors"]) == (0, [])
    assert found["readings_per_s"] > 0
    for times in (found["upload_ms"], found["page_ms"]):
        assert 0 < times["best"] <= times["median"] <= times["p95"] <= times["p99"]
    assert found["cpu_ms"] > 0
    assert found["pss_mib"]["start"] > 0
    assert "upload p50" in printed


def test_parts_of_an_upload_add_up_to_its_cpu_time(tmp_path):
    out = tmp_path / "figures.json"
    printed = run("bench_upload", "--uploads", 4, "--json", out).stdout
    found = json.loads(out.read_text())["found"]
    for part in ("networks", "renderings", "database: SQL", "decoder process"):
        assert part in printed
        assert found["ms"][part][1] > 0
    whole = sum(cpu for _, cpu in found["ms"].values())
    assert whole == pytest.approx(found["cpu_ms"], rel=0.5)
