from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from mlcore import inference
from mlcore.cards.shown import shown_limits, shown_probability
from mlcore.management.commands._common import chosen_model, write_json
from mlcore.registry import LoadedModel
from xraysite.common.decoders.errors import DecoderUnavailableError


class Command(BaseCommand):
    help = "Predict films. A file that is not a readable film gets an error; the rest continues."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="X-ray to read")
        parser.add_argument(
            "--json", type=Path, help="file to write the results to (default: none)"
        )
        parser.add_argument("--model", help="name of a model (default: the active model)")

    def handle(self, *args: Any, **options: Any) -> None:
        model = chosen_model(options["model"])
        results = []
        for path in options["files"]:
            result = read_one(path, model)
            results.append(result)
            self.stdout.write(_line(result))
        if options["json"]:
            write_json(options["json"], results)
        if all("error" in result for result in results):
            raise CommandError("None of the files could be read.")


def read_one(path: Path, model: LoadedModel) -> dict[str, Any]:
    """Return the entry of one file in the JSON results."""
    try:
        prediction = inference.predict(path.read_bytes(), model=model)
    except inference.FilmError as error:
        return {"file": str(path), "error": str(error), "code": error.code}
    except inference.ModelUnavailable as error:
        return {"file": str(path), "error": f"The model is unavailable: {error}"}
    except DecoderUnavailableError as error:
        return {"file": str(path), "error": f"No decoder process can be started: {error}"}
    except OSError as error:
        return {"file": str(path), "error": error.strerror or str(error)}
    return {
        "file": str(path),
        "label": prediction.label,
        "probabilities": prediction.probabilities,
        "rule": {
            "name": inference.RULE,
            "lower": prediction.rule.lower,
            "upper": prediction.rule.upper,
        },
        "threshold": prediction.threshold,
        "scope_score": prediction.scope_score,
        "scope_threshold": prediction.scope_threshold,
        "scope_reasons": list(prediction.scope_reasons),
        "resembles": prediction.resembles or None,
        "hints": list(prediction.hints),
        "model": prediction.model,
        "bundle_sha256": prediction.bundle_sha256,
        "milliseconds": round(prediction.milliseconds, 2),
    }


def _line(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"{result['file']}: {result['error']}"
    reasons = ", ".join(result["scope_reasons"])
    if result["resembles"]:
        reasons += f"; resembles: {result['resembles']}"
    if reasons:
        return (
            f"{result['file']}: {result['label']} ({reasons}; scope score "
            f"{result['scope_score']:.2f}, limit {result['scope_threshold']:.2f})"
        )
    lower, upper = result["rule"]["lower"], result["rule"]["upper"]
    probability = list(result["probabilities"].values())[1]
    shown = shown_probability(probability, lower, upper)
    below, above = shown_limits(probability, lower, upper)
    return (
        f"{result['file']}: {result['label']} (probability of pneumonia {shown}; NORMAL below "
        f"{below}, PNEUMONIA from {above})"
    )
