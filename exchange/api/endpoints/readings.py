"""Readings: sending X-rays, listing, fetching, correcting and deleting readings."""

import uuid
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from ninja import Header, Query, Router

from accounts.audit.recording import record_access
from accounts.tokens.services import token_of
from diagnosis import access_log, retention, serving
from diagnosis.forms.readings import PatientDetailsForm
from diagnosis.models import HidingReason, Reading
from diagnosis.services.conflicts import NOTHING_DECIDED, Decisions
from diagnosis.services.patients import FIELDS
from diagnosis.services.readings import ModelForgottenError, edit_reading
from exchange.api import uploads
from exchange.api.authentication import Token
from exchange.api.lists import keys_of_page
from exchange.api.presenting import API, etag_of, in_order, reading_json
from exchange.api.problems import Problem, of_form
from exchange.api.schemas.readings import (
    CorrectionIn,
    DeletedOut,
    FilterIn,
    ReadingOut,
    ReadingPage,
    SearchIn,
    UploadFields,
)

router = Router(tags=[gettext_noop("Readings")])
READ, WRITE = Token("readings:read"), Token("readings:write")

_UPLOAD_SCHEMA = UploadFields.model_json_schema()
UPLOAD_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["film"],
                    "properties": {
                        "film": {"type": "string", "format": "binary"},
                        **_UPLOAD_SCHEMA["properties"],
                    },
                }
            }
        },
    }
}


def doctors_only(user: Any) -> None:
    """Refuse accounts that read no X-rays.

    Raises:
        PermissionDenied: the account is no doctor's.
    """
    if not user.has_perm("diagnosis.add_reading"):
        raise PermissionDenied


@router.post(
    "/readings",
    auth=WRITE,
    response={200: ReadingOut, 201: ReadingOut},
    operation_id="send_reading",
    summary=gettext_noop("Send an X-ray and get its reading"),
    openapi_extra=UPLOAD_BODY,
)
def send_reading(
    request: HttpRequest,
    idempotency_key: str = Header("", alias="Idempotency-Key", max_length=uploads.MAX_KEY),
) -> HttpResponse:
    """Store an X-ray with its patient once per `Idempotency-Key` and return its reading.

    Repeating a request returns the same reading with status 200. Without a key, one is made from
    the content. The status is 409 if file, form and earlier readings disagree; the problem states
    both sides, and the same request with `decisions` settles it.
    """
    user: Any = request.user
    doctors_only(user)
    key, is_new = uploads.store_upload(request, user)
    reading = _own(request, key)
    if not is_new:
        record_access(reading, what="api-reading")
    response = _respond(request, reading, status=201 if is_new else 200)
    response.headers["Location"] = f"{API}/readings/{key}"
    if not is_new:
        response.headers["Idempotent-Replayed"] = "true"
    return response


def _own(request: HttpRequest, key: uuid.UUID) -> Reading:
    found = in_order([key], request.user, Reading.objects.own_of(request.user))
    if not found:
        raise Http404(_("This reading does not exist."))
    return found[0]


def _respond(request: HttpRequest, reading: Reading, *, status: int = 200) -> HttpResponse:
    content = reading_json(request, reading)
    response = JsonResponse(content, status=status)
    response.headers["ETag"] = etag_of(content)
    return response


@router.get(
    "/readings",
    auth=READ,
    response=ReadingPage,
    operation_id="list_readings",
    summary=gettext_noop("List readings"),
)
def list_readings(request: HttpRequest, filters: Query[FilterIn]) -> dict[str, Any]:
    """List the account's readings with the filters of the worklist, newest first by default."""
    return _page(request, filters)


@router.post(
    "/readings/search",
    auth=READ,
    response=ReadingPage,
    operation_id="search_readings",
    summary=gettext_noop("Search readings by patient"),
)
def search_readings(request: HttpRequest, filters: SearchIn) -> dict[str, Any]:
    """List readings as `GET /readings` does, also by name or number; these stay out of URLs."""
    return _page(request, filters)


def _page(request: HttpRequest, filters: FilterIn) -> dict[str, Any]:
    chosen = filters.model_dump(exclude={"cursor", "limit"}, exclude_none=True)
    keys, following, worklist = keys_of_page(
        request, chosen, cursor=filters.cursor, limit=filters.limit
    )
    found = in_order(keys, request.user, worklist.all)
    access_log.record_list(found, what="list")
    return {"items": [reading_json(request, each) for each in found], "next": following}


@router.get(
    "/readings/{uuid:reading_id}",
    auth=READ,
    response=ReadingOut,
    operation_id="get_reading",
    summary=gettext_noop("Fetch a reading"),
)
def get_reading(request: HttpRequest, reading_id: uuid.UUID) -> HttpResponse:
    """Return a reading. While its result is withheld, `result` is null for everybody but
    supervisors. With `If-None-Match`, the status is 304 if nothing has changed."""
    reading = serving.reading_for(request, reading_id)
    token = token_of(request)
    record_access(reading, what="api-reading", detail={"token": str(token)} if token else None)
    response = _respond(request, reading)
    if request.headers.get("If-None-Match") == response.headers["ETag"]:
        unchanged = HttpResponse(status=304)
        unchanged.headers["ETag"] = response.headers["ETag"]
        return unchanged
    return response


@router.patch(
    "/readings/{uuid:reading_id}",
    auth=WRITE,
    response=ReadingOut,
    operation_id="correct_reading",
    summary=gettext_noop("Correct the patient's details"),
)
def correct_reading(
    request: HttpRequest, reading_id: uuid.UUID, changes: CorrectionIn
) -> HttpResponse:
    """Correct the patient's details of one of the account's own readings.

    Film and probabilities never change. With `If-Match`, the status is 412 if the reading has
    changed since it was fetched.
    """
    user: Any = request.user
    reading = _own_or_denied(request, reading_id)
    expected = request.headers.get("If-Match")
    if expected is not None and expected != etag_of(reading_json(request, reading)):
        raise Problem(412, "changed", _("The reading has changed. Fetch it again."))
    form = PatientDetailsForm(_merged(reading, changes), instance=reading)
    if not form.is_valid():
        raise of_form(form)

    def edit(decisions: Decisions = NOTHING_DECIDED) -> Reading:
        return edit_reading(
            doctor=user,
            reading_id=reading_id,
            patient=form.patient_details(),
            decisions=decisions,
        )

    try:
        uploads.with_decisions(edit, changes.decisions, form.entered())
    except Reading.DoesNotExist:
        raise serving.no_such_reading() from None
    except ModelForgottenError:
        text = _("The model of this reading is no longer known. Upload the X-ray again.")
        raise Problem(409, "model-forgotten", text) from None
    return _respond(request, _own(request, reading_id))


def _own_or_denied(request: HttpRequest, key: uuid.UUID) -> Reading:
    """Return one of the account's own readings; anybody else's is as one that does not exist."""
    found = in_order([key], request.user, Reading.objects.own_of(request.user))
    if not found:
        raise serving.denied(key)
    return found[0]


def _merged(reading: Reading, changes: CorrectionIn) -> dict[str, str]:
    """Return the form's data: what is stored, with the changes.

    A new date of birth or of the exam gives the age, unless that is stated too.
    """
    sent = changes.model_dump(exclude_none=True, exclude={"decisions"})
    stored = {name: getattr(reading, name) for name in FIELDS}
    if {"patient_birth_date", "exam_date"} & set(sent) and "patient_age_years" not in sent:
        born = sent.get("patient_birth_date", stored["patient_birth_date"])
        stored["patient_age_years"] = None if born else stored["patient_age_years"]
    merged = stored | sent
    return {name: "" if value is None else str(value) for name, value in merged.items()}


@router.delete(
    "/readings/{uuid:reading_id}",
    auth=WRITE,
    response=DeletedOut,
    operation_id="delete_reading",
    summary=gettext_noop("Delete a reading"),
)
def delete_reading(
    request: HttpRequest, reading_id: uuid.UUID, reason: HidingReason = HidingReason.NOT_NEEDED
) -> dict[str, Any]:
    """Delete one of the account's own readings. Its doctor can restore it for some minutes, a
    supervisor as long as it is kept."""
    user: Any = request.user
    try:
        hidden = retention.hide_reading(doctor=user, reading_id=reading_id, reason=reason)
    except Reading.DoesNotExist:
        raise serving.denied(reading_id) from None
    until = hidden.hidden_at + retention.UNDO_WINDOW  # type: ignore[operator]
    return {"id": reading_id, "deleted_at": hidden.hidden_at, "undo_until": until}


@router.post(
    "/readings/{uuid:reading_id}/undelete",
    auth=WRITE,
    response=ReadingOut,
    operation_id="undelete_reading",
    summary=gettext_noop("Undo the deletion of a reading"),
)
def undelete_reading(request: HttpRequest, reading_id: uuid.UUID) -> HttpResponse:
    """Restore a reading that the account has just deleted; 409 when it is too late."""
    user: Any = request.user
    try:
        retention.undo_hiding(doctor=user, reading_id=reading_id)
    except Reading.DoesNotExist:
        raise serving.denied(reading_id) from None
    except retention.TooLateError:
        text = _("It is too late to undo this deletion. Ask a supervisor to restore the reading.")
        raise Problem(409, "too-late", text) from None
    return _respond(request, _own(request, reading_id))
