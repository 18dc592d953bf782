"""The fields of a reading that are the model's answer."""

from typing import Any, Final

# Everything that the model said, or that follows from it, with the value of a sealed reading.
ANSWER_FIELDS: Final[dict[str, Any]] = {
    "label": "",
    "probabilities": {},
    "probability_shown": "",
    "rule": "",
    "normal_below": None,
    "pneumonia_from": None,
    "threshold": 0.0,
    "scope_score": 0.0,
    "scope_threshold": 0.0,
    "scope_reasons": [],
    "scope_resembles": "",
    "image_hints": [],
    "activation_map": b"",
    "inference_ms": 0.0,
    "agreement": "",
    "age_scope": "",
}
