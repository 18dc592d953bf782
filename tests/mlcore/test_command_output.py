"""What the commands print: progress of training, undefined metrics, help, library messages."""

import io
import logging
import math
import os
import re
import subprocess
import sys
from argparse import SUPPRESS
from pathlib import Path

import pytest
from django.core.management import call_command, load_command_class
from django.core.management.base import BaseCommand
from rich.console import Console
from rich.progress import Progress

from mlcore.management.commands import _figures
from mlcore.management.commands._library_log import library_messages
from mlcore.management.commands._progress import ConsoleProgress, duration, training_progress
from mlcore.management.commands.train_model import Command as TrainModel
from tests.films import write_dataset

ROOT = Path(__file__).resolve().parent.parent.parent
COMMANDS = sorted(
    path.stem
    for path in (ROOT / "mlcore" / "management" / "commands").glob("*.py")
    if not path.stem.startswith("_")
)


class Result:
    """The figures of an epoch, like `callbacks.EpochResult`, which needs Keras."""

    def __init__(self, epoch: int, **changes: float) -> None:
        self.epoch, self.seconds, self.waited = epoch, 60.0, 3.0
        for name in ("loss", "accuracy", "auc", "val_loss", "val_accuracy", "val_auc"):
            setattr(self, name, changes.get(name, 0.5))


class Run:
    """A training run of two members of three epochs of ten batches, with a clock."""

    def __init__(self, *, may_stop: bool = False) -> None:
        self.time = 0.0
        self.said = io.StringIO()
        self.bar = Progress(console=Console(file=self.said, width=80))
        self.progress = ConsoleProgress(
            self.bar, epochs=3, batch=32, members=2, may_stop=may_stop, now=lambda: self.time
        )
        self.progress.stage("training network 1 of 2")
        self.progress.member(1, 2)

    def steps(self, epoch: int, until: int = 10) -> None:
        for done in range(1, until + 1):
            # The first step of all also compiles the network.
            self.time += 100.0 if done == 1 and epoch == 1 else 6.0
            self.progress.step(epoch, done, 10, 0.5, 0.5, 0.5)

    def shown(self) -> list[str]:
        return [f"{task.description} {task.fields['shown']}".strip() for task in self.bar.tasks]


def test_the_time_left_is_that_of_all_epochs_of_all_members():
    run = Run()
    run.steps(1, until=5)
    # 6 s a batch, 10 batches an epoch, 5.5 epochs left.
    assert run.shown()[0] == "All epochs 6 min left for training"
    assert "Network 1/2, epoch 1/3, batch 5/10" in run.shown()[1]
    run = Run()
    run.steps(1)
    run.time += 12.0  # validation
    run.progress.epoch(Result(1))
    assert run.shown()[0] == "All epochs 6 min left for training"
    assert "6 min left for training" in run.said.getvalue()
    run.progress.member(2, 2)
    run.steps(1)
    run.progress.epoch(Result(1))
    assert run.shown()[0].startswith("All epochs 3 min")
    assert run.bar.tasks[0].completed == 4
    assert run.bar.tasks[0].total == 6
    run.steps(3)
    run.said.truncate(0)
    run.progress.epoch(Result(3))
    assert "left" not in run.said.getvalue()


def test_a_resumed_run_counts_the_epochs_of_the_earlier_one():
    run = Run(may_stop=True)
    run.progress.member(2, 2)
    run.progress.resumed(1)
    run.steps(2, until=5)
    assert run.bar.tasks[0].completed == 4.5
    assert run.shown()[0] == "All epochs at most 2 min left for training"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "less than a minute"), (60, "less than a minute"), (61, "2 min"), (3600, "1 h 0 min"),
     (12000, "3 h 20 min")],
)  # fmt: skip
def test_durations_are_words(seconds, words):
    assert duration(seconds) == words


def test_something_is_shown_between_epochs_and_in_later_stages():
    """A full bar that stands still looks like a command that hangs."""
    run = Run()
    activity = [run.bar.tasks[-1]]
    run.steps(1)
    activity.append(run.bar.tasks[-1])
    run.progress.epoch(Result(1))
    activity.append(run.bar.tasks[-1])
    run.progress.stage("evaluating on the test films")
    activity.append(run.bar.tasks[-1])
    assert [task.description for task in activity] == [
        "Network 1/2, preparing epoch 1/3",
        "Network 1/2, epoch 1/3: validating",
        "Network 1/2, preparing epoch 2/3",
        "Evaluating on the test films",
    ]
    assert all(task.total is None and not task.finished for task in activity)
    assert run.bar.tasks[0].visible
    run.progress.member(2, 2)
    run.progress.stage("training the scope gate")
    assert not run.bar.tasks[0].visible
    assert "Evaluating on the test films ..." in run.said.getvalue()


def test_the_display_of_a_terminal_has_a_spinner_and_the_time_left():
    class Options:
        epochs, batch_size, patience = 3, 32, 0

    said = io.StringIO()
    console = Console(file=said, force_terminal=True, width=160)
    with training_progress(console, Options, members=1) as progress:
        progress.member(1, 1)
        progress.step(1, 1, 10, 0.5, 0.5, 0.5)
        progress.step(1, 2, 10, 0.5, 0.5, 0.5)
        progress.bar.refresh()
        assert re.search(r"[⠁-⣿]\x1b\[0m All epochs", said.getvalue())
        assert "left for training" in said.getvalue()


def test_a_metric_of_an_epoch_that_is_no_number_is_undefined_with_a_reason():
    run = Run()
    run.progress.step(1, 1, 10, math.nan, 0.5, math.nan)
    assert run.shown()[-1].count("undefined") == 2
    run.progress.epoch(Result(1, loss=math.nan, val_loss=math.inf))
    said = run.said.getvalue()
    assert "loss undefined, accuracy 0.5000" in said
    assert "Undefined: loss, validation loss; the network's output is not a finite number" in said
    assert "nan" not in said.lower()
    assert "inf" not in said.lower().replace("finite", "")


def test_undefined_figures_of_the_new_model_have_a_reason():
    said = io.StringIO()
    share = {"share": None, "count": 0, "ci": [None, None]}
    called = {"PNEUMONIA": share, "UNSURE": share, "NORMAL": share}
    figures = dict.fromkeys(("ece", "out_of_scope_rate", "accuracy", "specificity"), 0.5)
    figures |= {"n": 3, "auc": None, "sensitivity": math.nan}
    figures["decision"] = {"called": {"PNEUMONIA": called}}
    TrainModel()._report({"metrics": {"test": figures}}, Console(file=said))
    assert "AUC undefined (all films have the same label)" in said.getvalue()
    assert "sensitivity undefined (no film is labelled PNEUMONIA)" in said.getvalue()
    assert "called PNEUMONIA undefined (no film has this label)" in said.getvalue()
    assert "nan" not in said.getvalue()


def test_an_interval_may_be_undefined_on_its_own():
    figures = {"auc": 0.5, "auc_ci": [math.nan, math.nan]}
    said = _figures.shown_with_interval(figures, "auc", "auc_ci")
    assert said == "0.5000  (95 % confidence interval undefined: too few films)"


@pytest.mark.django_db
def test_evaluate_model_says_why_a_metric_is_undefined(tmp_path, capsys):
    """Readable films of one label have no AUC and no specificity; warnings would fail this test."""
    films = write_dataset(tmp_path, per_class=3, size=96)
    for path in (films / "NORMAL").iterdir():
        path.write_bytes(b"not a film")
    call_command("evaluate_model", data=films)
    said = capsys.readouterr().out
    assert re.search(r"auc +undefined \(all films have the same label\)", said)
    assert re.search(r"specificity +undefined \(no film is labelled NORMAL\)", said)
    assert "nan" not in said.lower()


@pytest.mark.parametrize("name", COMMANDS)
def test_help_states_the_default_of_every_option(name):
    command = load_command_class("mlcore", name)
    general = {action.dest for action in BaseCommand().create_parser("manage.py", "x")._actions}
    silent = []
    for action in command.create_parser("manage.py", name)._actions:
        if action.dest in general or action.help is SUPPRESS:
            continue
        said = (action.help or "") % {"default": action.default}
        expected = "" if not action.option_strings else "required" if action.required else "default"
        if expected not in said or not said:
            silent.append(action.dest)
    assert silent == []


NOISY = """
import logging, os, sys, types, warnings
from pathlib import Path
sys.path.insert(0, ".")
handler = logging.StreamHandler()
logging.basicConfig(level="INFO", handlers=[handler])
from mlcore.engine.metrics import UndefinedMetricWarning
from mlcore.management.commands._library_log import library_messages

def warn(text, category, filename):
    warnings.warn_explicit(text, category, filename, 1)

with library_messages(Path(sys.argv[1])):
    os.write(2, b"native message\\n")
    logging.getLogger("tensorflow").warning("retracing")
    logging.getLogger("tensorflow").error("library error")
    logging.getLogger("mlcore.registry").error("our error")
    warn("library warning", UserWarning, "/x/site-packages/keras/a.py")
    warn("AUC is undefined", UndefinedMetricWarning, "mlcore/a.py")
    warn("our warning", UserWarning, "mlcore/a.py")
    print("our message", file=sys.stderr)
os.write(2, b"native afterwards\\n")
logging.getLogger("tensorflow").warning("afterwards")
with library_messages(Path(sys.argv[1])):
    raise RuntimeError("our exception")
"""


def test_messages_of_libraries_go_to_a_file_and_our_errors_do_not(tmp_path):
    log = tmp_path / "log"
    run = subprocess.run(
        [sys.executable, "-c", NOISY, str(log)], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PYTHONWARNINGS": "default"}, check=False, timeout=60,
    )  # fmt: skip
    kept, printed = log.read_text(), run.stderr
    for text in ("native message", "retracing", "library warning", "AUC is undefined"):
        assert text in kept
        assert text not in printed
    for text in ("library error", "our error", "our warning", "our message", "native afterwards",
                 "afterwards", "RuntimeError: our exception"):  # fmt: skip
        assert text in printed
        assert text not in kept
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_crash_of_native_code_leaves_a_trace_on_the_terminal(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; sys.path.insert(0, '.')\n"
        "from mlcore.management.commands._library_log import library_messages\n"
        "with library_messages(Path(sys.argv[1])):\n"
        "    os.abort()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log")], cwd=ROOT, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert run.returncode < 0
    assert "Fatal Python error: Aborted" in run.stderr


def test_handlers_are_as_before(tmp_path):
    before = [(handler, list(handler.filters)) for handler in logging.root.handlers]
    with library_messages(tmp_path / "log"):
        pass
    assert before == [(handler, list(handler.filters)) for handler in logging.root.handlers]
