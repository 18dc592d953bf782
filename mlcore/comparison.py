"""Two registered models side by side: what their cards say, and the same films by both."""

from mlcore import registry
from mlcore.engine.evaluation import compare as engine
from mlcore.engine.evaluation.compare import Comparison
from mlcore.models import ModelVersion

__all__ = ["CannotCompare", "Comparison", "compare"]


class CannotCompare(ValueError):  # noqa: N818 - a state of two models, as the page calls it
    """There is nothing to compare two models on.

    Attributes:
        code: "no_predictions", "altered", "unreadable", "no_films" or "labels_differ".
        model: name of the model at fault, or "" where it is both.
    """

    def __init__(self, code: str, model: str = "") -> None:
        super().__init__(f"{code}: {model}" if model else code)
        self.code = code
        self.model = model


def compare(first: ModelVersion, second: ModelVersion) -> Comparison:
    """Compare two models on the held-out films that both were measured on.

    Each model's answers are those in its bundle's `predictions.csv`, so no film is read again.

    Raises:
        CannotCompare: a bundle lacks that file or holds another, or they share no films.
    """
    films = (_films(first), _films(second))
    thresholds = (first.card["threshold"]["value"], second.card["threshold"]["value"])
    try:
        return engine.compare(*films, thresholds=thresholds)
    except engine.NothingInCommonError as error:
        raise CannotCompare("no_films") from error
    except ValueError as error:
        raise CannotCompare("labels_differ") from error


def _films(version: ModelVersion) -> dict[str, engine.Film]:
    try:
        return engine.read_predictions(registry.file_of(version, engine.PREDICTIONS))
    except registry.ModelUnavailable as error:
        code = "altered" if error.code == "damaged" else "no_predictions"
        raise CannotCompare(code, version.name) from error
    except engine.PredictionsError as error:
        raise CannotCompare("unreadable", version.name) from error
