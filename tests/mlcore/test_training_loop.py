"""The training loop: batches, resuming after a kill, early stopping, several devices."""

from pathlib import Path
from typing import Any

import pytest

from tests.mlcore.training_runs import cluster, finish, start

pytestmark = pytest.mark.xdist_group("training-loop")


def run(name: str, folder: Path) -> Any:
    return finish(start(name, folder))


@pytest.fixture(scope="module")
def resumed(tmp_path_factory) -> dict[str, Any]:
    """Results of a run that was killed in its second epoch and resumed."""
    folder = tmp_path_factory.mktemp("resumed") / "state"
    killed = start("killed", folder)
    assert killed.finish(timeout=200).returncode == -9
    found: dict[str, Any] = run("resumed", folder)
    return found


def test_a_killed_run_ends_where_an_uninterrupted_one_does(resumed):
    assert resumed["resumed_after"] == 1
    assert resumed["steps"] == 2 * 4
    assert resumed["resumed"] == resumed["whole"]
    assert resumed["left"] == ["epoch-00003"]


@pytest.mark.parametrize(
    ("point", "finished"),
    [("writing the weights", 1), ("renaming the folder", 1), ("removing the old one", 2)],
)
def test_a_run_killed_while_it_saves_loses_one_epoch_at_most(point, finished, resumed):
    assert resumed["killed while"][point] == [finished, resumed["whole"]]


@pytest.mark.parametrize("other", ["films", "options"])
def test_the_state_of_another_run_is_refused(other, resumed):
    assert "the state of a run with other options or films" in resumed[f"other {other}"]


def test_early_stopping_counts_on_after_an_interruption(tmp_path):
    found = run("stopped", tmp_path)
    losses = found["val_losses"]
    best = losses.index(min(losses))
    assert len(losses) == best + 1 + 2 < 8
    assert found["kept_loss"] == pytest.approx(min(losses), abs=1e-5)
    assert abs(found["kept_loss"] - losses[-1]) > 1e-3
    assert found["left"] == [f"epoch-{best + 1:05d}", f"epoch-{len(losses):05d}"]
    assert found["resumed"] == found["whole"]
    assert found["ended"] == found["whole"]
    assert found["steps_after_the_end"] == 0


def test_a_batch_depends_on_seed_epoch_and_index_alone(resumed):
    found = resumed["batches"]
    assert found["batches"] == 4
    assert found["backward"] == found["first"]
    assert len({*found["first"], *found["second"], *found["other seed"]}) == 12
    # 28 of 35 films are NORMAL; both classes weigh the same in sum.
    assert found["weights"] == [[0.0, pytest.approx(0.625)], [1.0, pytest.approx(2.5)]]


def assert_same(one: dict[str, Any], several: dict[str, Any]) -> None:
    """Check that two runs agree, except for the order in which floats are summed.

    The sums differ by about 1e-7. Adam divides a gradient by its own size, so a weight whose
    gradient is tiny can move by more: up to 7e-6 was measured on log-odds.
    """
    assert len(several["history"]) == len(one["history"])
    for ours, theirs in zip(several["history"], one["history"], strict=True):
        assert ours == pytest.approx(theirs, abs=2e-5)
    assert several["logits"] == pytest.approx(one["logits"], abs=1e-4)


def test_two_devices_give_the_same_result_as_one(tmp_path):
    found = run("mirrored", tmp_path)
    assert found["replicas"] == 2
    assert_same(found["one"], found["two"])


def run_workers(name: str, folder: Path) -> list[Any]:
    """Run two workers; return what each printed, the chief first."""
    workers = [start(name, folder, **environment) for environment in cluster()]
    try:
        return [finish(worker) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()


@pytest.mark.slow
def test_two_workers_give_the_same_result_as_one_process(tmp_path):
    alone = run("alone", tmp_path / "alone")
    chief, other = run_workers("worker", tmp_path / "together")
    assert [chief["is_chief"], other["is_chief"]] == [True, False]
    assert chief["replicas"] == other["replicas"] == 2
    assert_same(alone, chief)
    assert_same(alone, other)
    resumed = run_workers("worker", tmp_path / "together")
    assert [found["resumed_after"] for found in resumed] == [3, 3]
    assert [found["steps"] for found in resumed] == [0, 0]
    assert resumed[0]["logits"] == chief["logits"]


@pytest.mark.slow
def test_workers_with_different_films_are_refused(tmp_path):
    for said in run_workers("other worker", tmp_path / "state"):
        assert "The workers do not have the same options, films or saved state" in said
    assert not (tmp_path / "state").exists()
