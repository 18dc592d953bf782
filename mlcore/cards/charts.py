"""The charts of a model card, as shapes for `templates/mlcore/card/_chart.html`.

Drawn from the files of the bundle, each verified by its hash, so that text is in the reader's
language and colours follow the theme. Each chart has its data as a table.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from mlcore import registry
from mlcore.cards import words
from mlcore.engine.evaluation import curves
from mlcore.engine.serving.decision import DecisionRule
from mlcore.models import ModelVersion

# The edges of the plot, in units of the template's viewBox.
LEFT, RIGHT, TOP, BOTTOM = 52, 328, 12, 208
TABLE_ROWS = 12


@dataclass(frozen=True)
class Scale:
    """Maps values from `low` to `high` to coordinates from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> str:
        """Return a coordinate as text that no locale changes."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return f"{self.start + share * (self.end - self.start):.1f}"


@dataclass(frozen=True)
class Chart:
    """A chart of a card.

    Attributes:
        key: unique on the page.
        title: its caption.
        summary: what it shows, for those who cannot see it and as help for those who can.
        x_title, y_title: what the axes measure.
        x_ticks, y_ticks: pairs of a coordinate and its label.
        paths: pairs of a CSS class and the data of an SVG path.
        bars: a CSS class, x, y, width and height each.
        dots: a CSS class, x and y each.
        legend: pairs of a CSS class and a label.
        columns, rows: the data as a table.
    """

    key: str
    title: str
    summary: str
    x_title: str
    y_title: str
    x_ticks: list[tuple[str, str]]
    y_ticks: list[tuple[str, str]]
    columns: list[str]
    rows: list[list[str]]
    paths: list[tuple[str, str]] = field(default_factory=list)
    bars: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    dots: list[tuple[str, str, str]] = field(default_factory=list)
    legend: list[tuple[str, str]] = field(default_factory=list)


X = Scale(0, 1, LEFT, RIGHT)
Y = Scale(0, 1, BOTTOM, TOP)
SHARES = (0, 0.2, 0.4, 0.6, 0.8, 1)
BY_LABEL = {"PNEUMONIA": "chart-pneumonia", "NORMAL": "chart-normal"}
DIAGONAL = ("chart-chance", f"M{X(0)} {Y(0)}L{X(1)} {Y(1)}")


def charts(version: ModelVersion) -> dict[str, Chart]:
    """Return the charts that the files of a bundle allow, by the names of `words.PLOTS`.

    A chart whose file is missing or was altered is left out.
    """
    found: dict[str, Chart] = {}
    tested = _read(version, "predictions.csv", curves.of_predictions)
    if tested is not None:
        found |= {
            "roc": roc(tested, version.card),
            "reliability": reliability(tested),
            "histogram": histogram(tested, version.card),
        }
    epochs = _read(version, "history.csv", curves.of_history)
    if epochs:
        found |= {"loss": training(epochs, "loss"), "auc": training(epochs, "auc")}
    return found


def _read(version: ModelVersion, file: str, parse: Callable[[bytes], Any]) -> Any:
    try:
        return parse(registry.file_of(version, file))
    except (registry.ModelUnavailable, ValueError):
        return None


def roc(tested: curves.Curves, card: Any) -> Chart:
    """Draw the ROC curve with the ranking threshold."""
    threshold = card["threshold"]["value"]
    at = min(tested.roc, key=lambda point: abs(point.threshold - threshold))
    points = [(0.0, 0.0), *((1 - p.specificity, p.sensitivity) for p in tested.roc), (1.0, 1.0)]
    values = {"n": tested.n, "auc": f"{tested.auc:.3f}", "sensitivity": f"{at.sensitivity:.3f}",
              "specificity": f"{at.specificity:.3f}"}  # fmt: skip
    return Chart(
        key="roc",
        title=str(words.PLOTS["roc"][0]),
        summary=_(
            "%(n)s X-rays, AUC %(auc)s. At the ranking threshold, which decides no result, the"
            " sensitivity is %(sensitivity)s and the specificity %(specificity)s."
        )
        % values,
        x_title=_("1 − specificity"),
        y_title=_("Sensitivity"),
        x_ticks=[(X(value), f"{value:g}") for value in SHARES],
        y_ticks=[(Y(value), f"{value:g}") for value in SHARES],
        paths=[DIAGONAL, ("chart-line", _line((X(x), Y(y)) for x, y in points))],
        dots=[("chart-mark", X(1 - at.specificity), Y(at.sensitivity))],
        legend=[("chart-mark", _("Ranking threshold")), ("chart-chance", _("Chance"))],
        columns=[_("Threshold"), _("Sensitivity"), _("Specificity")],
        rows=[
            [f"{p.threshold:.3f}", f"{p.sensitivity:.3f}", f"{p.specificity:.3f}"]
            for p in _sampled(tested.roc)
        ],
    )


def reliability(tested: curves.Curves) -> Chart:
    """Draw the reliability diagram with the interval of each point."""
    bins = tested.reliability
    return Chart(
        key="reliability",
        title=str(words.PLOTS["reliability"][0]),
        summary=_(
            "%(n)s X-rays, calibration error (ECE) %(ece)s. Vertical lines are 95%% confidence"
            " intervals. Points on the dotted line are perfectly calibrated."
        )
        % {"n": tested.n, "ece": f"{tested.ece:.3f}"},
        x_title=_("Probability of pneumonia"),
        y_title=_("Proportion with pneumonia"),
        x_ticks=[(X(value), f"{value:g}") for value in SHARES],
        y_ticks=[(Y(value), f"{value:g}") for value in SHARES],
        paths=[
            DIAGONAL,
            *(
                ("chart-interval", f"M{X(found.mean)} {Y(found.ci[0])}V{Y(found.ci[1])}")
                for found in bins
            ),
        ],
        dots=[("chart-dot", X(found.mean), Y(found.observed)) for found in bins],
        columns=[
            _("Mean probability"),
            _("Proportion with pneumonia"),
            _("Confidence interval"),
            _("X-rays"),
        ],
        rows=[
            [
                f"{found.mean:.3f}",
                f"{found.observed:.3f}",
                f"{found.ci[0]:.3f}–{found.ci[1]:.3f}",
                str(found.n),
            ]
            for found in bins
        ],
    )


def histogram(tested: curves.Curves, card: Any) -> Chart:
    """Draw how the probabilities of each label are distributed, with the limits of the rule."""
    columns = tested.histogram
    normal = sum(column.normal for column in columns)
    sick = sum(column.pneumonia for column in columns)
    y = Scale(-1, 1, BOTTOM, TOP)
    rule = DecisionRule.of(card)
    limits = [limit for limit in (rule.lower, rule.upper) if 0 < limit <= 1]
    return Chart(
        key="histogram",
        title=_("Probabilities by label, test set"),
        summary=_(
            "Above the line: %(sick)s X-rays with pneumonia. Below it: %(normal)s without. Between"
            " the dashed limits of the rule of decision, the result is inconclusive."
        )
        % {"sick": sick, "normal": normal},
        x_title=_("Probability of pneumonia"),
        y_title=_("Proportion of X-rays"),
        x_ticks=[(X(value), f"{value:g}") for value in SHARES],
        y_ticks=[(y(value), f"{abs(value):.0%}") for value in (-1, -0.5, 0, 0.5, 1)],
        paths=[
            ("chart-base", f"M{X(0)} {y(0)}H{X(1)}"),
            *(("chart-limit", f"M{X(limit)} {TOP}V{BOTTOM}") for limit in limits),
        ],
        bars=_histogram_bars(columns, y),
        legend=[
            *((css, str(words.WITH[label])) for label, css in BY_LABEL.items()),
            ("chart-limit", _("Limits of the rule")),
        ],
        columns=[_("Probability of pneumonia"), *(str(words.WITH[label]) for label in BY_LABEL)],
        rows=[
            [f"{column.low:.2f}–{column.high:.2f}", str(column.pneumonia), str(column.normal)]
            for column in columns
        ],
    )


def _histogram_bars(columns: list[curves.Column], y: Scale) -> list[tuple[str, str, str, str, str]]:
    """Return the bars: shares of the films with pneumonia upwards, of the others downwards."""
    totals = (sum(c.pneumonia for c in columns), sum(c.normal for c in columns))
    base, width = float(y(0)), float(X(columns[0].high)) - float(X(0)) - 1.5
    bars = []
    for column in columns:
        for css, n, total in zip(
            BY_LABEL.values(), (column.pneumonia, column.normal), totals, strict=True
        ):
            # Even a single film is seen.
            height = max(1.0, base - float(y(n / total)))
            top = base - height if css == BY_LABEL["PNEUMONIA"] else base
            if n:
                bars.append(
                    (css, X(column.low + 0.0025), f"{top:.1f}", f"{width:.1f}", f"{height:.1f}")
                )
    return bars


def training(epochs: list[curves.Epoch], key: str) -> Chart:
    """Draw the loss or the AUC by epoch on the training and on the validation set.

    Args:
        epochs: all epochs.
        key: "loss" or "auc".
    """
    sets = [
        ("chart-line", pgettext("data set", "Training"), [e.training[key] for e in epochs]),
        ("chart-second", pgettext("data set", "Validation"), [e.validation[key] for e in epochs]),
    ]
    known = [value for _css, _name, values in sets for value in values if math.isfinite(value)]
    ticks = _ticks(min(known, default=0.0), max(known, default=1.0))
    y = Scale(ticks[0], ticks[-1], BOTTOM, TOP)
    last = epochs[-1].epoch
    x = Scale(1, max(last, 2), LEFT, RIGHT)
    step = max(1, math.ceil(last / 8))
    return Chart(
        key=f"training-{key}",
        title=_("AUC by epoch") if key == "auc" else _("Loss by epoch"),
        summary=_("Mean over the members of the ensemble, %(n)s epochs.") % {"n": len(epochs)},
        x_title=_("Epoch"),
        y_title="AUC" if key == "auc" else _("Loss"),
        x_ticks=[(x(epoch), str(epoch)) for epoch in range(1, last + 1, step)],
        y_ticks=[(y(value), f"{value:g}") for value in ticks],
        paths=[
            (
                css,
                _line(
                    (x(e.epoch), y(value))
                    for e, value in zip(epochs, values, strict=True)
                    if math.isfinite(value)
                ),
            )
            for css, _name, values in sets
        ],
        legend=[(css, name) for css, name, _values in sets],
        columns=[_("Epoch"), *(name for _css, name, _values in sets)],
        rows=[[str(e.epoch), f"{e.training[key]:.4f}", f"{e.validation[key]:.4f}"] for e in epochs],
    )


def _line(points: Iterable[tuple[str, str]]) -> str:
    return "M" + "L".join(f"{x} {y}" for x, y in points)


def _sampled(points: Sequence[curves.RocPoint]) -> list[curves.RocPoint]:
    last = len(points) - 1
    places = {round(last * step / (TABLE_ROWS - 1)) for step in range(TABLE_ROWS)}
    return [points[place] for place in sorted(places)]


def _ticks(low: float, high: float) -> list[float]:
    """Return three to seven round values that span a range."""
    span = (high - low) or 1.0
    unit = 10 ** math.floor(math.log10(span))
    step = next(unit * part for part in (0.2, 0.5, 1, 2) if span / (unit * part) <= 5)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [round(step * place, 6) for place in range(first, last + 1)]


def plots(version: ModelVersion) -> dict[str, dict[str, Any]]:
    """Return the card's plots by name, each with its file, title and description.

    `is_there` is False for a plot whose file is missing or no longer the one that was registered.
    """
    found = {}
    for file in version.card.get("plots", []):
        key = file.rsplit(".", 1)[0]
        title, description = words.PLOTS.get(key, (key, ""))
        found[key] = {
            "file": file,
            "title": title,
            "description": description,
            "is_there": _is_there(version, file),
        }
    return found


def _is_there(version: ModelVersion, file: str) -> bool:
    try:
        registry.file_of(version, file)
    except registry.ModelUnavailable:
        return False
    return True
