"""Comparison of two registered models on the test films they share."""

from mlcore import registry
from mlcore.engine.evaluation import compare as engine
from mlcore.engine.evaluation.compare import Comparison
from mlcore.models import ModelVersion

__all__ = ["CannotCompare", "Comparison", "compare", "worse_than_active"]


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


def worse_than_active(version: ModelVersion) -> Comparison | None:
    """Return the comparison with the active model if it ranks the same test films better.

    None if no other model is active, the difference in AUC may be none (its 95 % confidence
    interval reaches 0), or the two cannot be compared.
    """
    active = registry.active_version()
    if active is None or active.pk == version.pk:
        return None
    try:
        found = compare(active, version)
    except CannotCompare:
        return None
    return found if found.auc.interval[1] < 0 else None


def _films(version: ModelVersion) -> dict[str, engine.LabelledPrediction]:
    try:
        return engine.read_predictions(registry.file_of(version, engine.PREDICTIONS))
    except registry.ModelUnavailable as error:
        code = "altered" if error.code == "damaged" else "no_predictions"
        raise CannotCompare(code, version.name) from error
    except engine.PredictionsError as error:
        raise CannotCompare("unreadable", version.name) from error
