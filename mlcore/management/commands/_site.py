"""Gates, plots and printed figures of `validate_site`."""

import importlib.util
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from mlcore import gates
from mlcore.engine.evaluation.site_films import SiteFilms
from mlcore.engine.serving.bundle import finite
from mlcore.management.commands._figures import shown_with_interval
from mlcore.models import ModelVersion
from xraysite.common.atomic_write import write_atomically

# Gates whose figures are measured on the site's films; the others are the model's own.
AT_SITE = (
    "test_films", "auc", "sick_called_normal", "well_called_pneumonia", "ece", "abstention",
    "scope_in_scope",
)  # fmt: skip
AT_SITE_DERIVED = (*AT_SITE, "validation_films")
NO_PLOT = "Matplotlib is not installed, so no reliability diagram is drawn. Run make install-train."


@dataclass(frozen=True)
class SiteGate:
    """A gate, and whether its figure was measured on the site's films."""

    result: gates.Result
    at_site: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "gate": self.result.gate.name,
            "value": self.result.value,
            "limit": self.result.floor,
            "at_least": self.result.gate.at_least,
            "status": self.result.status,
            "measured_on": "site" if self.at_site else "card",
        }


def gates_of(
    card: Mapping[str, Any], figures: Mapping[str, Any], *, at_site: Collection[str] = AT_SITE
) -> list[SiteGate]:
    """Apply the activation gates to a card with a site's figures instead of its test set.

    Args:
        card: the model card.
        figures: the model's figures on the site's films.
        at_site: names of the gates that are measured on the site's films.

    Raises:
        CommandError: a limit in the settings is invalid.
    """
    metrics = dict(card.get("metrics") or {}) | {"test": finite(figures)}
    # Not saved, so that neither recorded evaluations nor overrides count.
    here = ModelVersion(name=card["name"], card=dict(card) | {"metrics": metrics})
    try:
        return [
            SiteGate(
                gates.Result(gate, gate.measure(here), gates.floor_of(gate)), gate.name in at_site
            )
            for gate in gates.GATES
        ]
    except gates.GateError as error:
        raise CommandError(str(error)) from error


def reliability_plot(films: SiteFilms, probabilities: Any = None) -> bytes | None:
    """Return the reliability diagram as a PNG file, or None without Matplotlib.

    Args:
        films: the films.
        probabilities: (n,) instead of those of `films`.
    """
    if importlib.util.find_spec("matplotlib") is None:
        return None
    from mlcore.engine.evaluation import plots

    return plots.reliability(
        films.labels, films.probabilities if probabilities is None else probabilities
    )


def write_plot(path: Path, content: bytes) -> None:
    try:
        write_atomically(path, content, mode=0o644)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error}") from error


@contextmanager
def reading_progress(console: Console) -> Iterator[Any]:
    """Show films read, and the time left; yields a function of (films read, total)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("Reading films", total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show


def lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """Yield the printed lines of a set of figures."""
    yield f"  n = {figures['n']}; AUC {shown_with_interval(figures, 'auc', 'auc_ci')}"
    decision = figures["decision"]
    yield (
        f"  Rule of decision: NORMAL below {decision['lower']:.4f}, PNEUMONIA from "
        f"{decision['upper']:.4f}, UNSURE between"
    )
    for label, called in decision["called"].items():
        yield f"    films labelled {label}, n = {decision['n'][label]}"
        for result, row in called.items():
            share = shown_with_interval(row, "share", "ci")
            yield f"      called {result:<10} {row['count']:>5}  {share}"
    yield "  At the ranking threshold, which decides no result:"
    for name in ("accuracy", "sensitivity", "specificity"):
        yield f"    {name:<12} {shown_with_interval(figures, name, f'{name}_ci')}"
    yield f"  Calibration error (ECE) {shown_with_interval(figures, 'ece', 'ece_ci')}"
    flagged = shown_with_interval(figures, "out_of_scope_rate", "out_of_scope_rate_ci")
    yield f"  Out of scope {flagged}"


def gate_lines(found: list[SiteGate]) -> Iterator[str]:
    yield "  Activation gates:"
    for entry in found:
        result = entry.result
        sign = ">=" if result.gate.at_least else "<="
        place = "" if entry.at_site else "  (from the card, not measured here)"
        value = "" if result.value is None else f" {result.value:.4g}"
        yield (
            f"    {result.gate.name:<22} {result.status}{value} (limit {sign} {result.floor:g})"
            f"{place}"
        )


def needed_lines(needed: Mapping[str, Any], counts: Mapping[str, int]) -> Iterator[str]:
    for name, entry in needed.items():
        if entry is None:
            yield f"  {name}: the number of films needed is unknown without films of its label"
            continue
        label = entry["label"]
        normal = entry["normal"]
        simple = "" if normal is None else f"; by the normal approximation {normal}"
        yield (
            f"  {name} within ±{entry['half_width']:g} needs {entry['wilson']} films labelled "
            f"{label} if it is as measured{simple}; {entry['cautious']} if it is at the end of its "
            f"interval; there are {counts[label]}"
        )
