"""Plots of a model card, rendered by Matplotlib without a display."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

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
    """Plot loss, accuracy and AUC by epoch, for training and validation of each member."""
    panels = (("loss", "val_loss"), ("accuracy", "val_accuracy"), ("auc", "val_auc"))

    def draw(axes: Axes) -> None:
        figure = axes.figure
        axes.remove()
        for place, names in enumerate(panels, start=1):
            panel = figure.add_subplot(len(panels), 1, place)
            for key, color, label in zip(
                names, (BLUE, ORANGE), ("training", "validation"), strict=True
            ):
                for number, member in enumerate(history):
                    # Markers show a single epoch, which has no line; one label for all members.
                    panel.plot(
                        [result.epoch for result in member],
                        [getattr(result, key) for result in member],
                        color=color, lw=1.2, marker="o", ms=3,
                        label=label if number == 0 else None,
                    )  # fmt: skip
            panel.set_ylabel("AUC" if names[0] == "auc" else names[0])
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.set_xlabel("epoch")
        figure.axes[0].legend()

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
