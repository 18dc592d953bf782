"""What `train_model` shows while it trains: epochs, time left, and the stage that is running."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

if TYPE_CHECKING:
    from mlcore.engine.training.options import Options
    from mlcore.engine.training.training import EpochResult

# Epochs that the time left is estimated from.
RECENT = 3
DIVERGED = (
    "the network's output is not a finite number. Check the films, or train without "
    "--mixed-precision"
)


class ConsoleProgress:
    """Shows epochs, batches, metrics, stages and the time left; implements `training.Progress`.

    On a terminal, one line shows the whole run and one what is running now, with a spinner, so
    that validation and the stages after the epochs do not look as if the command hung. Elsewhere
    only the lines that stay are printed.

    Args:
        bar: the running display.
        epochs: epochs of each ensemble member.
        batch: films in a batch.
        members: ensemble members.
        may_stop: whether a member may stop before its last epoch.
        now: a monotonic clock, in seconds.
    """

    def __init__(
        self,
        bar: Progress,
        *,
        epochs: int,
        batch: int,
        members: int = 1,
        may_stop: bool = False,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bar, self.epochs, self.batch, self.members = bar, epochs, batch, members
        self.may_stop, self.now = may_stop, now
        self.network = ""
        self.films = 0
        self.earlier = 0.0  # epochs of members that are done, or that stopped early
        self.passed = 0.0  # epochs done in the whole run
        self.began: float | None = None  # when the first step of the epoch was done
        self.first_step = 0.0  # seconds that it would have taken without compiling
        self.recent: deque[float] = deque(maxlen=RECENT)  # seconds of the last epochs
        self.number = 0  # of the member that is trained
        self.whole = bar.add_task("All epochs", total=members * epochs, shown="", visible=False)
        self.activity: TaskID | None = None
        self.activity_total: int | None = None

    def stage(self, text: str) -> None:
        """Print the stage that starts and show it until the next one."""
        if self.number == self.members:
            self.bar.update(self.whole, visible=False)  # training is over
        text = text[:1].upper() + text[1:]
        self._say(f"{text} ...")
        self._show(text)

    def member(self, number: int, members: int) -> None:
        self.number, self.members = number, members
        self.bar.update(self.whole, total=members * self.epochs, visible=True)
        self.network = f"Network {number}/{members}, " if members > 1 else ""
        self.earlier = self.passed = float((number - 1) * self.epochs)
        self._show(f"{self.network}preparing epoch 1/{self.epochs}")

    def resumed(self, epoch: int) -> None:
        self.passed = self.earlier + epoch
        self._say(f"{self.network}resuming after epoch {epoch} of an earlier run.")

    def step(
        self, epoch: int, done: int, steps: int, loss: float, accuracy: float, auc: float
    ) -> None:
        self.passed = self.earlier + epoch - 1 + done / steps
        if self.began is None:
            self.began = self.now()
        # The first step also compiles the network, so the time starts after it.
        seconds = self.now() - self.began
        self.first_step = seconds / max(done - 1, 1)
        if self.recent or done > 1:
            self._show_time_left(None if self.recent else self.first_step * steps)
        self.films = done * self.batch
        speed = f"  {(done - 1) * self.batch / seconds:.0f} films/s" if seconds > 0 else ""
        if done == steps:
            self._show(f"{self.network}epoch {epoch}/{self.epochs}: validating")
            return
        shown = f"loss {_plain(loss)}  accuracy {_plain(accuracy)}  AUC {_plain(auc)}{speed}"
        name = f"{self.network}epoch {epoch}/{self.epochs}, batch {done}/{steps}"
        self._show(name, done=done, total=steps, shown=shown)

    def epoch(self, result: "EpochResult") -> None:
        if self.began is not None:
            self.recent.append(self.now() - self.began + self.first_step)
        self.began = None
        self.passed = self.earlier + result.epoch
        left = self._show_time_left()
        self._say(
            f"{self.network}epoch {result.epoch}/{self.epochs}: loss {_plain(result.loss)}, "
            f"accuracy {_plain(result.accuracy)}, AUC {_plain(result.auc)}; validation: loss "
            f"{_plain(result.val_loss)}, accuracy {_plain(result.val_accuracy)}, AUC "
            f"{_plain(result.val_auc)}; {result.seconds:.0f} s, "
            f"{self.films / max(result.seconds, 1e-3):.0f} films/s, waited for films "
            f"{result.waited / max(result.seconds, 1e-3):.0%}{f'; {left}' if left else ''}"
        )
        self._explain_undefined(result)
        if result.epoch < self.epochs:
            self._show(f"{self.network}preparing epoch {result.epoch + 1}/{self.epochs}")

    def _explain_undefined(self, result: "EpochResult") -> None:
        figures = {
            "loss": result.loss, "accuracy": result.accuracy, "AUC": result.auc,
            "validation loss": result.val_loss, "validation accuracy": result.val_accuracy,
            "validation AUC": result.val_auc,
        }  # fmt: skip
        undefined = [name for name, value in figures.items() if not math.isfinite(value)]
        if undefined:
            self._say(f"Undefined: {', '.join(undefined)}; {DIVERGED}.")

    def _show_time_left(self, seconds: float | None = None) -> str:
        """Show the time left for all epochs of all members; return it, or "" if none is left.

        Args:
            seconds: of an epoch; defaults to the mean of the recent ones.
        """
        if seconds is None and self.recent:
            seconds = sum(self.recent) / len(self.recent)
        left = self.members * self.epochs - self.passed
        if seconds is None or left <= 0:
            shown = ""
        else:
            bound = "at most " if self.may_stop else ""
            shown = f"{bound}{duration(left * seconds)} left for training"
        self.bar.update(self.whole, completed=self.passed, shown=shown)
        return shown

    def _show(self, name: str, *, done: int = 0, total: int | None = None, shown: str = "") -> None:
        """Show what is running now; the bar pulses if there is no total."""
        name = name[:1].upper() + name[1:]
        if self.activity is not None and (total is None or total != self.activity_total):
            # Another thing runs now: its elapsed time starts at 0.
            self.bar.remove_task(self.activity)
            self.activity = None
        if self.activity is None:
            self.activity, self.activity_total = (
                self.bar.add_task(name, total=total, shown=""),
                total,
            )
        self.bar.update(self.activity, description=name, completed=done, shown=shown)

    def _say(self, line: str) -> None:
        # Not wrapped: the terminal does that, and a log keeps one line for each epoch.
        self.bar.console.print(line, soft_wrap=True, markup=False, highlight=False)


def duration(seconds: float) -> str:
    """Return a duration in words, rounded up: "less than a minute", "12 min", "3 h 20 min"."""
    minutes = math.ceil(seconds / 60)
    if minutes <= 1:
        return "less than a minute"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _plain(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "undefined"


@contextmanager
def training_progress(
    console: Console, options: "Options", *, members: int
) -> Iterator[ConsoleProgress]:
    """Show the progress of a training run while the context lasts."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[shown]}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        yield ConsoleProgress(
            bar,
            epochs=options.epochs,
            batch=options.batch_size,
            members=members,
            may_stop=options.patience > 0,
        )
