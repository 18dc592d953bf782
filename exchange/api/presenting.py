"""Readings as the API gives them: what is withheld from pages is withheld here."""

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet
from django.http import HttpRequest

from diagnosis.batches.texts import problem_text
from diagnosis.models import BatchItem, Reading

API = "/api/v1"
RELATED = ("doctor", "model_version", "study", "team")


def loaded(readings: "QuerySet[Reading]", user: Any) -> "QuerySet[Reading]":
    """Return readings with what `reading_json` shows, sealed where the result is withheld."""
    sealed: QuerySet[Reading] = readings.with_withheld(user)  # type: ignore[attr-defined]
    return sealed.select_related(*RELATED).defer("activation_map", "model_version__card",
                                                 "model_version__card_text")  # fmt: skip


def in_order(keys: Iterable[Any], user: Any, readings: "QuerySet[Reading]") -> list[Reading]:
    """Return the readings with these keys, in their order."""
    chosen = list(keys)
    found = {reading.pk: reading for reading in loaded(readings.filter(pk__in=chosen), user)}
    return [found[key] for key in chosen if key in found]


def reading_json(request: HttpRequest, reading: Reading) -> dict[str, Any]:
    """Return a reading that was loaded with `with_withheld`."""
    sealed = reading.is_sealed
    return {
        "id": reading.pk,
        "created_at": reading.created_at,
        "updated_at": reading.updated_at,
        "deleted_at": reading.hidden_at,
        "doctor": reading.doctor.display_name,
        "exam_date": reading.exam_date,
        "patient": patient_json(reading),
        "withheld": sealed,
        "result": None if sealed else _result(reading),
        "own_verdict": reading.own_verdict,
        "is_done": reading.waiting_since is None,
        "team": reading.team.name if reading.team is not None else None,
        "discrepancies": reading.discrepancies,
        "film": _film(reading),
        "model": {
            "name": reading.model_name,
            "bundle_sha256": reading.bundle_sha256,
            "preprocessing": reading.preprocessing_id,
            "url": f"{API}/models/{reading.model_name}",
        },
        "links": _links(request, reading),
    }


def patient_json(reading: Reading) -> dict[str, Any]:
    """Return a patient as a reading states them."""
    return {
        "id": reading.study.patient_id if reading.study is not None else None,
        "name": reading.patient_name,
        "number": reading.patient_number,
        "sex": reading.patient_sex,
        "birth_date": reading.patient_birth_date,
        "age_years": reading.patient_age_years,
    }


def _result(reading: Reading) -> dict[str, Any]:
    """Return the model's result; out of scope, without probabilities, which mean nothing then."""
    has_result, limits = reading.has_result, reading.limits
    rule = None
    if limits is not None:
        rule = {
            "normal_below": limits[0],
            "pneumonia_from": limits[1],
            "text": reading.rule_text,
        }
    return {
        "label": reading.label,
        "probability": reading.probability if has_result else None,
        "probability_text": reading.probability_text if has_result else None,
        "probabilities": reading.probabilities if has_result else None,
        "threshold": reading.threshold,
        "rule": rule,
        "scope": {
            "reasons": reading.scope_reasons,
            "texts": reading.scope_reason_texts,
            "score": reading.scope_score,
            "threshold": reading.scope_threshold,
        },
        "image_hints": reading.image_hint_texts,
    }


def _film(reading: Reading) -> dict[str, Any]:
    return {
        "sha256": reading.film_sha256,
        "format": reading.film_format,
        "bytes": reading.film_bytes,
        "width": reading.film_width,
        "height": reading.film_height,
        "modality": reading.film_modality,
        "view": reading.film_view,
        "body_part": reading.film_body_part,
    }


def _links(request: HttpRequest, reading: Reading) -> dict[str, Any]:
    own, sealed = f"{API}/readings/{reading.pk}", reading.is_sealed
    return {
        "self": own,
        "film": f"{own}/film",
        "heatmap": None if sealed else f"{own}/heatmap",
        "report": None if sealed else f"{own}/report.pdf",
        "reviews": f"{own}/reviews",
        "page": request.build_absolute_uri(reading.get_absolute_url()),
    }


def item_json(item: BatchItem) -> dict[str, Any]:
    """Return a file of a batch."""
    return {
        "id": item.pk,
        "file": item.path,
        "sha256": item.sha256,
        "bytes": item.size,
        "state": item.state,
        "problem": problem_text(item.problem),
        "reading_id": item.reading_id,
        "changed_at": item.changed_at,
    }


def etag_of(content: dict[str, Any]) -> str:
    """Return a tag that changes whenever the content does."""
    text = json.dumps(content, cls=DjangoJSONEncoder, sort_keys=True)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'
