"""Comparison of two registered models on the test films they share."""

from dataclasses import dataclass
from typing import Literal

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from mlcore import registry
from mlcore.engine.evaluation import compare as engine
from mlcore.engine.evaluation.compare import Comparison
from mlcore.models import ModelVersion

__all__ = ["AgainstActive", "CannotCompare", "Comparison", "against_active", "compare"]

NOT_COMPARED: dict[str, Promise] = {
    "no_predictions": _(
        "%(model)s has no predictions.csv, so its predictions for individual X-rays are unknown."
    ),
    "altered": _("The predictions.csv of %(model)s differs from the registered one."),
    "unreadable": _("The predictions.csv of %(model)s cannot be read."),
    "no_films": _("The test X-rays that both models were evaluated on do not include both labels."),
    "labels_differ": _("The same X-rays have different labels in the two files."),
}


class CannotCompare(ValueError):  # noqa: N818 - a state of two models
    """Raised when two models cannot be compared.

    Attributes:
        code: "no_predictions", "altered", "unreadable", "no_films" or "labels_differ".
        model: name of the model that causes it, or "" if it is both.
    """

    def __init__(self, code: str, model: str = "") -> None:
        super().__init__(f"{code}: {model}" if model else code)
        self.code = code
        self.model = model

    @property
    def reason(self) -> str:
        """The reason as a sentence."""
        return str(NOT_COMPARED[self.code]) % {"model": self.model}


def compare(first: ModelVersion, second: ModelVersion) -> Comparison:
    """Compare two models on the test films that both were evaluated on.

    Uses the `predictions.csv` of both bundles; no film is predicted again.

    Raises:
        CannotCompare: a bundle lacks this file or it was altered, or they share no films.
    """
    films = (_films(first), _films(second))
    thresholds = (first.card["threshold"]["value"], second.card["threshold"]["value"])
    try:
        return engine.compare(*films, thresholds=thresholds)
    except engine.NothingInCommonError as error:
        raise CannotCompare("no_films") from error
    except ValueError as error:
        raise CannotCompare("labels_differ") from error


@dataclass(frozen=True)
class AgainstActive:
    """How a model compares with the active one on the test films that both were evaluated on.

    Attributes:
        active: the active model; None if there is no other.
        comparison: the active model first; None if there is no active one or no comparison.
        cannot: why the two cannot be compared, or None.
    """

    active: ModelVersion | None = None
    comparison: Comparison | None = None
    cannot: CannotCompare | None = None

    @property
    def is_worse(self) -> bool:
        """Whether the active model has the higher AUC: the 95 % interval is below 0."""
        return self.comparison is not None and self.comparison.auc.interval[1] < 0

    @property
    def to_confirm(self) -> Literal["", "worse", "uncompared"]:
        """What must be confirmed before activation."""
        if self.is_worse:
            return "worse"
        return "uncompared" if self.cannot else ""


def against_active(version: ModelVersion) -> AgainstActive:
    """Compare a version with the active model, if another one is active."""
    active = registry.active_version()
    if active is None or active.pk == version.pk:
        return AgainstActive()
    try:
        return AgainstActive(active, compare(active, version))
    except CannotCompare as error:
        return AgainstActive(active, cannot=error)


def _films(version: ModelVersion) -> dict[str, engine.LabelledPrediction]:
    try:
        return engine.read_predictions(registry.file_of(version, engine.PREDICTIONS))
    except registry.ModelUnavailable as error:
        code = "altered" if error.code == "damaged" else "no_predictions"
        raise CannotCompare(code, version.name) from error
    except engine.PredictionsError as error:
        raise CannotCompare("unreadable", version.name) from error
