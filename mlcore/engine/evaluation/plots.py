"""Plots of a model card, rendered by Matplotlib without a display."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mlcore.engine import metrics

Vector = npt.NDArray[Any]

BLUE, ORANGE, GREY = "#1f5fa8", "#d9772b", "#8a8f98"


def _drawn(draw: Callable[[Axes], None], *, size: tuple[float, float] = (5.0, 4.2)) -> bytes:
    # Not pyplot, whose global state is not safe in servers and threads.
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.subplots())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def curves(history: Sequence[Sequence[Any]]) -> bytes:
    """Plot losses and validation AUC by epoch for the `EpochResult`s of each member."""

    def draw(axes: Axes) -> None:
        right = axes.twinx()
        for number, member in enumerate(history):
            epochs = [result.epoch for result in member]
            # Only the first member is labelled; the others look the same.
            named: dict[str, Any] = {"label": "training loss"} if number == 0 else {}
            axes.plot(epochs, [r.loss for r in member], color=BLUE, lw=1.2, **named)
            named = {"label": "validation loss"} if number == 0 else {}
            axes.plot(epochs, [r.val_loss for r in member], color=ORANGE, lw=1.2, **named)
            right.plot(epochs, [r.val_auc for r in member], color=GREY, ls="--", lw=1.2)
        axes.set(xlabel="epoch", ylabel="loss", ylim=(0, None))
        right.set_ylabel("validation AUC (dashed)")
        axes.legend(loc="center right")

    return _drawn(draw)


def roc(labels: Vector, probabilities: Vector, *, threshold: float) -> bytes:
    """Plot the ROC curve with the operating point of the threshold."""

    def draw(axes: Axes) -> None:
        false, true, _ = metrics.roc(labels, probabilities)
        axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":")
        axes.plot(false, true, color=BLUE)
        called = probabilities >= threshold
        axes.plot(
            called[labels == 0].mean(),
            called[labels == 1].mean(),
            "o",
            color=ORANGE,
            label=f"threshold {threshold:.3f}",
        )
        axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
        axes.set_title(f"n = {len(labels)}, AUC {metrics.auc(labels, probabilities):.4f}")
        axes.legend(loc="lower right")

    return _drawn(draw)


def reliability(labels: Vector, probabilities: Vector) -> bytes:
    """Plot the reliability diagram: observed fraction of PNEUMONIA by probability."""

    def draw(axes: Axes) -> None:
        table = metrics.reliability(labels, probabilities)
        axes.plot([0, 1], [0, 1], color=GREY, lw=0.8, ls=":")
        mean, observed, count = (np.array(column) for column in zip(*table, strict=True))
        low, high = np.array(
            [
                metrics.wilson_interval(round(o * c), int(c))
                for o, c in zip(observed, count, strict=True)
            ]
        ).T
        axes.errorbar(
            mean,
            observed,
            yerr=np.maximum(0, [observed - low, high - observed]),
            fmt="o",
            color=BLUE,
            capsize=2,
        )
        axes.set(xlabel="probability of PNEUMONIA", ylabel="observed fraction", aspect="equal")
        axes.set_title(f"n = {len(labels)}, ECE {metrics.ece(labels, probabilities):.3f}")

    return _drawn(draw)


def confusion(counts: dict[str, int], names: Sequence[str]) -> bytes:
    """Plot the confusion matrix; `names` are the negative and the positive label."""

    def draw(axes: Axes) -> None:
        table = np.array([[counts["tn"], counts["fp"]], [counts["fn"], counts["tp"]]])
        shares = table / np.maximum(1, table.sum(axis=1, keepdims=True))
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(table):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, count, ha="center", va="center", color=colour, size=14)
        axes.set_xticks([0, 1], names)
        axes.set_yticks([0, 1], names)
        axes.set(xlabel="model", ylabel="data set")

    return _drawn(draw, size=(4.2, 3.8))
