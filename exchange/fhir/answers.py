"""Answers of the FHIR service: resources, and what went wrong as an OperationOutcome."""

import datetime
import json
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.http import http_date

from exchange.fhir.checking import checked

MEDIA_TYPE = "application/fhir+json"
JSON = {MEDIA_TYPE, "application/json", "application/json+fhir", "json", "text/json"}
ANY = {"*/*", "application/*"}


class FhirError(Exception):
    """Raised to answer with an OperationOutcome.

    Args:
        status: the HTTP status.
        code: a code of the value set IssueType.
        sentence: what is wrong; names no patient.
    """

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.code, self.sentence = status, code, sentence


def outcome(error: FhirError) -> HttpResponse:
    """Return the answer to a request that failed."""
    issue = {"severity": "error", "code": error.code, "diagnostics": error.sentence}
    answer = _answer({"resourceType": "OperationOutcome", "issue": [issue]}, error.status)
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="xraysite"'
    return answer


def resource_answer(request: HttpRequest, resource: dict[str, Any]) -> HttpResponse:
    """Return a resource with its version; 304 if the program has it already."""
    meta = resource.get("meta", {})
    tag = f'W/"{meta["versionId"]}"' if "versionId" in meta else ""
    sent = request.headers.get("If-None-Match", "")
    if tag and tag in [each.strip() for each in sent.split(",")]:
        answer = HttpResponse(status=304)
    else:
        answer = _answer(checked(resource), 200)
    if tag:
        answer.headers["ETag"] = tag
    if "lastUpdated" in meta:
        answer.headers["Last-Modified"] = http_date(_seconds(meta["lastUpdated"]))
    return answer


def bundle_answer(bundle: dict[str, Any]) -> HttpResponse:
    """Return a bundle of search results."""
    return _answer(checked(bundle), 200)


def check_format(request: HttpRequest) -> None:
    """Check that the program takes JSON.

    Raises:
        FhirError: it takes none.
    """
    wanted = request.GET.get("_format", "")
    if wanted:
        # A "+" that was not escaped arrives as a space.
        if wanted.replace(" ", "+").partition(";")[0] not in JSON:
            raise FhirError(406, "not-supported", "Only JSON is supported: _format=json.")
        return
    accepted = request.headers.get("Accept", "*/*") or "*/*"
    kinds = {each.partition(";")[0].strip().lower() for each in accepted.split(",")}
    if not kinds & (JSON | ANY):
        raise FhirError(406, "not-supported", f"Only {MEDIA_TYPE} is supported.")


def wants_document(request: HttpRequest) -> bool:
    """Return whether a Binary is asked for as it is, and not as a resource."""
    accepted = request.headers.get("Accept", "*/*") or "*/*"
    kinds = {each.partition(";")[0].strip().lower() for each in accepted.split(",")}
    return "_format" not in request.GET and not kinds & JSON


def _answer(content: dict[str, Any], status: int) -> HttpResponse:
    text = json.dumps(content, ensure_ascii=False)
    answer = HttpResponse(text, status=status, content_type=f"{MEDIA_TYPE}; charset=utf-8")
    answer.headers["Cache-Control"] = "private, no-cache"
    patch_vary_headers(answer, ["Accept", "Authorization"])
    return answer


def _seconds(instant: str) -> float:

    return datetime.datetime.fromisoformat(instant).timestamp()
