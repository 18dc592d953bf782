"""Batches: many files, each of which becomes a reading by itself."""

import uuid
from typing import Any

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop
from ninja import Header, Router, Status

from accounts import account_limits
from accounts.tokens.services import token_of
from diagnosis.batches import assigning, ending, receiving, running
from diagnosis.batches.receiving import BatchClosedError, FullError, Received
from diagnosis.batches.table_rows import Summary, summaries, summary_of
from diagnosis.batches.zip_files import ZipFileError
from diagnosis.models import Batch, BatchItem
from diagnosis.services import quotas
from diagnosis.validators import refusal_to_store, too_large
from exchange.api.authentication import Token
from exchange.api.device_batches import known_file, take_file
from exchange.api.endpoints.readings import doctors_only
from exchange.api.lists import as_number, as_time, as_uuid, decoded, encoded
from exchange.api.presenting import item_json
from exchange.api.problems import RETRY_S, Problem, invalid
from exchange.api.schemas.others import (
    BatchItemOut,
    BatchItemPage,
    BatchOut,
    BatchPage,
    ItemPatientIn,
    ReceivedOut,
)
from exchange.api.uploads import too_many
from xraysite.common.keyset import Place, Segment, page_of
from xraysite.common.uploads import TOO_LARGE_KEY, upload_fault

router = Router(tags=[gettext_noop("Batches")])
READ, WRITE = Token("readings:read"), Token("readings:write")
BATCHES, ITEMS = 20, 100
NEWEST = [Segment(("-created_at", "-id"))]


def file_body(name: str, **further: str) -> dict[str, Any]:
    """Return the OpenAPI description of a multipart body with one file."""
    properties: dict[str, Any] = {name: {"type": "string", "format": "binary"}}
    properties |= {
        field: {"type": "string", "description": text, "maxLength": 250}
        for field, text in further.items()
    }
    schema = {"type": "object", "required": [name], "properties": properties}
    return {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}
    }


def batch_json(request: HttpRequest, batch: Batch, summary: Summary) -> dict[str, Any]:
    """Return a batch with its numbers."""
    return {
        "id": batch.pk,
        "created_at": batch.created_at,
        "cancelled_at": batch.cancelled_at,
        "total": summary.total,
        "waiting": summary.moving,
        "inbox": summary.inbox,
        "done": summary.done,
        "failed": summary.failed,
        "stopped": summary.stopped,
        "problems": batch.problems,
        "page": request.build_absolute_uri(batch.get_absolute_url()),
    }


def _own(request: HttpRequest, key: uuid.UUID) -> Batch:
    batch: Batch | None = Batch.objects.own_of(request.user).filter(pk=key).first()
    if batch is None:
        raise Http404(_("This batch does not exist."))
    return batch


def _own_item(request: HttpRequest, batch: uuid.UUID, item: uuid.UUID) -> BatchItem:
    found: BatchItem | None = (
        BatchItem.objects.own_of(request.user).filter(pk=item, batch_id=batch).first()
    )
    if found is None:
        raise Http404(_("This file does not exist."))
    return found


@router.get(
    "/batches",
    auth=READ,
    response=BatchPage,
    operation_id="list_batches",
    summary=gettext_noop("List batches"),
)
def list_batches(request: HttpRequest, cursor: str = "") -> dict[str, Any]:
    """List the account's batches, newest first."""
    doctors_only(request.user)
    own, after = Batch.objects.own_of(request.user), None
    if cursor:
        created, key = decoded(cursor, 2)
        after = Place(0, {"created_at": as_time(created), "id": as_uuid(key)})
    page = page_of(own, NEWEST, size=BATCHES, after=after)
    batches = list(own.filter(pk__in=page.keys).defer("patients"))
    found = summaries(batches)
    items = [batch_json(request, batch, found[batch.pk]) for batch in batches]
    last = batches[-1] if page.has_next else None
    return {"items": items, "next": last and encoded(last.created_at.isoformat(), last.pk)}


@router.post(
    "/batches",
    auth=WRITE,
    response={201: BatchOut},
    operation_id="begin_batch",
    summary=gettext_noop("Begin a batch"),
)
def begin_batch(request: HttpRequest) -> Any:
    """Begin a batch without files."""
    batch = receiving.begin_batch(doctor=request.user)  # type: ignore[arg-type]
    return Status(201, batch_json(request, batch, summary_of(batch)))


@router.get(
    "/batches/{uuid:batch_id}",
    auth=READ,
    response=BatchOut,
    operation_id="get_batch",
    summary=gettext_noop("Fetch the state of a batch"),
)
def get_batch(request: HttpRequest, batch_id: uuid.UUID) -> dict[str, Any]:
    """Return how many files are in which state."""
    batch = _own(request, batch_id)
    running.revive()
    ending.settle_made(batch)
    return batch_json(request, batch, summary_of(batch))


@router.get(
    "/batches/{uuid:batch_id}/items",
    auth=READ,
    response=BatchItemPage,
    operation_id="list_batch_items",
    summary=gettext_noop("List the files of a batch"),
)
def list_items(request: HttpRequest, batch_id: uuid.UUID, cursor: str = "") -> dict[str, Any]:
    """List the files in the order in which they were sent."""
    items = _own(request, batch_id).items.order_by("position")
    if cursor:
        items = items.filter(position__gt=as_number(decoded(cursor, 1)[0]))
    found = list(items[: ITEMS + 1])
    following = encoded(found[ITEMS - 1].position) if len(found) > ITEMS else None
    return {"items": [item_json(item) for item in found[:ITEMS]], "next": following}


@router.post(
    "/batches/{uuid:batch_id}/files",
    auth=WRITE,
    response={200: ReceivedOut, 201: ReceivedOut},
    operation_id="send_batch_file",
    summary=gettext_noop("Send a file into a batch"),
    openapi_extra=file_body("file", path="The file's name with its folders."),
)
def send_file(request: HttpRequest, batch_id: uuid.UUID) -> Any:
    """Send an X-ray, a ZIP file with X-rays, or a CSV file with patient data.

    The same content is taken once; then the status is 200.
    """
    batch = _own(request, batch_id)
    file = sent_file(request)
    with _refusals():
        received = receiving.add_file(
            doctor=request.user,  # type: ignore[arg-type]
            batch_id=batch.pk,
            path=request.POST.get("path", "") or file.name or "",
            file=file.file,  # type: ignore[arg-type]
        )
    return _received(received)


def _received(received: Received) -> Any:
    keys = [item.pk for item in received.items]
    # As they are now: without workers, they have been read meanwhile.
    items = BatchItem.objects.filter(pk__in=keys).order_by("position")
    content = {
        "items": [item_json(item) for item in items],
        "new": received.new,
        "problems": list(received.problems),
    }
    return Status(201 if received.new or not keys else 200, content)


def sent_file(request: HttpRequest) -> UploadedFile:
    """Return the one file of a multipart request.

    Raises:
        Problem: it did not arrive.
    """
    files = request.FILES
    fault = upload_fault(request.META)
    if TOO_LARGE_KEY in request.META:
        text = " ".join(map(str, too_large().messages))
        raise Problem(413, "too-large", text, limit=settings.FILM_MAX_BYTES)
    if fault is not None:
        text = f"{fault.title}. {fault.text}"
        raise Problem(503, fault.code, text, headers={"Retry-After": str(fault.retry_after)})
    sent: list[UploadedFile] = files.getlist("file")
    if len(files) != 1 or len(sent) != 1:
        detail = _("Send one file, as the field “file”.")
        raise invalid([{"field": "file", "detail": detail}])
    return sent[0]


class _refusals:  # noqa: N801 - used as a statement
    """Turns why a batch takes no file now into problems."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        match error:
            case account_limits.TooManyError():
                raise too_many(error) from None
            case quotas.QuotaError():
                raise Problem(403, "quota", str(error)) from None
            case FullError():
                raise Problem(409, "batch-full", str(error)) from None
            case BatchClosedError():
                text = _("This batch was cancelled. Begin another one.")
                raise Problem(409, "batch-cancelled", text) from None
            case ZipFileError():
                raise invalid([{"field": "file", "detail": str(error)}]) from None
            case OSError():
                text = " ".join(map(str, refusal_to_store(error).messages))
                retry = {"Retry-After": str(RETRY_S)}
                raise Problem(503, "storage", text, headers=retry) from error


@router.post(
    "/batches/{uuid:batch_id}/finish",
    auth=WRITE,
    response=BatchOut,
    operation_id="finish_batch",
    summary=gettext_noop("Say that everything has been sent"),
)
def finish_batch(request: HttpRequest, batch_id: uuid.UUID) -> dict[str, Any]:
    """Match CSV files with X-rays again, now that everything has arrived."""
    batch = _own(request, batch_id)
    with _refusals():
        receiving.finish_sending(doctor=request.user, batch_id=batch.pk)  # type: ignore[arg-type]
    return batch_json(request, batch, summary_of(batch))


@router.post(
    "/batches/{uuid:batch_id}/cancel",
    auth=WRITE,
    response=BatchOut,
    operation_id="cancel_batch",
    summary=gettext_noop("Cancel what has not been read"),
)
def cancel_batch(request: HttpRequest, batch_id: uuid.UUID) -> dict[str, Any]:
    """Stop what has not been read; readings stay."""
    _own(request, batch_id)
    ending.cancel_batch(doctor=request.user, batch_id=batch_id)  # type: ignore[arg-type]
    batch = _own(request, batch_id)
    return batch_json(request, batch, summary_of(batch))


@router.patch(
    "/batches/{uuid:batch_id}/items/{uuid:item_id}",
    auth=WRITE,
    response=BatchItemOut,
    operation_id="state_batch_patient",
    summary=gettext_noop("State whose X-ray a file is"),
)
def state_patient(
    request: HttpRequest, batch_id: uuid.UUID, item_id: uuid.UUID, patient: ItemPatientIn
) -> dict[str, Any]:
    """Keep patient data of a file that waits for it; if nothing is missing, it is read."""
    _own_item(request, batch_id, item_id)
    try:
        assigning.enter_patient(
            doctor=request.user,  # type: ignore[arg-type]
            item_id=item_id,
            fields=patient.model_dump(),
        )
    except BatchItem.DoesNotExist:
        raise _settled() from None
    return item_json(_own_item(request, batch_id, item_id))


@router.delete(
    "/batches/{uuid:batch_id}/items/{uuid:item_id}",
    auth=WRITE,
    response=BatchItemOut,
    operation_id="remove_batch_item",
    summary=gettext_noop("Remove a file that is not to be read"),
)
def remove_item(request: HttpRequest, batch_id: uuid.UUID, item_id: uuid.UUID) -> dict[str, Any]:
    """Remove a file that has not been read."""
    _own_item(request, batch_id, item_id)
    try:
        ending.remove_item(doctor=request.user, item_id=item_id)  # type: ignore[arg-type]
    except BatchItem.DoesNotExist:
        raise _settled() from None
    return item_json(_own_item(request, batch_id, item_id))


def _settled() -> Problem:
    return Problem(
        409, "item-settled", _("This file is being read, was read, cancelled or removed.")
    )


@router.post(
    "/uploads",
    auth=WRITE,
    response={200: ReceivedOut, 201: ReceivedOut},
    operation_id="drop_file",
    summary=gettext_noop("Send a file of a device"),
    openapi_extra=file_body("file"),
)
def drop_file(
    request: HttpRequest,
    idempotency_key: str = Header("", alias="Idempotency-Key", max_length=200),
) -> Any:
    """Take a file of a device, such as an X-ray van, into the device's batch of the day.

    It is read at once if it states its patient; otherwise it waits in the doctor's inbox. Files are
    known by their content, so repeating a request changes nothing and has the status 200.
    """
    user: Any = request.user
    doctors_only(user)
    token = token_of(request)
    assert token is not None  # noqa: S101 - for the type checker
    file = sent_file(request)
    known = known_file(token, file)
    if known is not None:
        return _received(Received((known,)))
    with _refusals():
        return _received(take_file(token=token, user=user, file=file))
