"""The FHIR service: reading and searching with a token, never with a session."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, QueryDict
from django.utils.translation import gettext
from django.views.decorators.csrf import csrf_exempt

from accounts.audit.recording import record_event, record_shown
from accounts.models import User
from accounts.tokens.services import TokenError, user_of
from diagnosis.models import Reading
from diagnosis.services.report_pdf import ReportError
from diagnosis.services.reports import BOTH, WithheldError, issue_report
from exchange.fhir import answers, reading, searching
from exchange.fhir.answers import FhirError
from exchange.fhir.capability import capability_statement
from exchange.fhir.parameters import PARAMETERS
from exchange.fhir.resources.reports import PDF, binary
from xraysite.common.client_address import client_address

SCOPE = "fhir:read"
FORM = "application/x-www-form-urlencoded"
CODES = {401: "login", 403: "forbidden", 429: "throttled"}
View = Callable[..., HttpResponse]


def fhir_view(*methods: str) -> Callable[[View], View]:
    """Make a function a view of the service that answers errors with an OperationOutcome.

    Only a token signs in here, so a page of another site cannot use a doctor's session: there is
    nothing for CSRF to protect.
    """

    def decorate(view: View) -> View:
        @login_not_required
        @csrf_exempt
        @wraps(view)
        def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            try:
                if request.method not in methods:
                    raise FhirError(405, "not-supported", f"Use {' or '.join(methods)}.")
                return view(request, *args, **kwargs)
            except TokenError as error:
                code = CODES.get(error.status, "security")
                return answers.outcome(FhirError(error.status, code, error.sentence))
            except FhirError as error:
                return answers.outcome(error)

        return answered

    return decorate


@fhir_view("GET", "HEAD")
def metadata(request: HttpRequest) -> HttpResponse:
    """Return the CapabilityStatement, to everybody."""
    answers.check_format(request)
    return answers.resource_answer(request, capability_statement(_base(request)))


@fhir_view("GET", "HEAD")
def read(request: HttpRequest, kind: str, key: str) -> HttpResponse:
    """Return one resource."""
    user = user_of(request, scope=SCOPE)
    answers.check_format(request)
    try:
        if kind not in reading.READERS:
            raise FhirError(404, "not-supported", f"The type {kind} is not supported.")
        resource, shown = reading.read(kind, key, user)
    except FhirError:
        _record_denied(request, user, f"{kind}/{key}")
        raise
    _record(request, user, kind, [shown] if shown else [])
    return answers.resource_answer(request, resource)


@fhir_view("GET", "HEAD", "POST")
def search(request: HttpRequest, kind: str) -> HttpResponse:
    """Return a page of resources of one kind."""
    user = user_of(request, scope=SCOPE)
    answers.check_format(request)
    if request.method == "POST":
        raise FhirError(405, "not-supported", "This service is read-only. Search with _search.")
    return _searched(request, user, kind, request.GET)


@fhir_view("POST")
def post_search(request: HttpRequest, kind: str) -> HttpResponse:
    """Search by POST, which keeps patient numbers out of addresses and logs."""
    user = user_of(request, scope=SCOPE)
    answers.check_format(request)
    if request.content_type != FORM:
        raise FhirError(415, "not-supported", f"Send {FORM}.")
    asked = request.GET.copy()
    for name, values in request.POST.lists():
        asked.setlist(name, asked.getlist(name) + values)
    return _searched(request, user, kind, asked)


def _searched(request: HttpRequest, user: User, kind: str, asked: QueryDict) -> HttpResponse:
    if kind not in PARAMETERS:
        raise FhirError(404, "not-supported", f"The type {kind} cannot be searched.")
    page = searching.search(kind, asked, user)
    _record(request, user, kind, page.readings)
    return answers.bundle_answer(searching.bundle_of(page, kind, asked, _base(request)))


@fhir_view("GET", "HEAD")
def document(request: HttpRequest, key: str) -> HttpResponse:
    """Return a report as PDF, or as a Binary; each time is a numbered copy, as on the page."""
    user = user_of(request, scope=SCOPE)
    as_file = answers.wants_document(request)
    if not as_file:
        answers.check_format(request)
    try:
        record = reading.record(key, user)
        if not record.has_answer:
            raise reading.missing()
    except FhirError:
        _record_denied(request, user, f"Binary/{key}")
        raise
    copy = _copy(request, record.reading, user)
    if not as_file:
        return answers.resource_answer(request, binary(record, copy))
    answer = HttpResponse(copy, content_type=PDF)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    return answer


def _copy(request: HttpRequest, shown: Reading, user: User) -> bytes:
    try:
        issued = issue_report(
            reading=shown,
            user=user,
            language=BOTH,
            with_map=True,
            url=request.build_absolute_uri(shown.get_absolute_url()),
            remote_addr=client_address(request),
        )
    except (Reading.DoesNotExist, WithheldError) as error:
        raise reading.missing() from error
    except ReportError as error:
        raise FhirError(500, "exception", gettext("The report cannot be made.")) from error
    return issued.pdf


def _record(request: HttpRequest, user: User, kind: str, shown: list[Reading]) -> None:
    keys = [each.pk for each in shown]
    record_shown(Reading, keys, what="fhir-read", about=kind, **_origin(request, user))


def _record_denied(request: HttpRequest, user: User, asked: str) -> None:
    record_event(
        Reading,
        what="access-denied",
        about=f"FHIR {asked}"[:200],
        detail={},
        **_origin(request, user),
    )


def _origin(request: HttpRequest, user: User) -> dict[str, Any]:
    return {"actor": user, "actor_email": user.email, "remote_addr": client_address(request)}


def _base(request: HttpRequest) -> str:
    return request.build_absolute_uri("/fhir")
