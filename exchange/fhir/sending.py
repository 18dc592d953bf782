"""Sending a delivery: one transaction Bundle to a server's base address.

If the process dies after the server has taken it, it is sent again; its conditional requests then
find what is there already.
"""

import http.client
import json
import logging
import os
import ssl
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import DatabaseError
from django.db import transaction as database
from django.db.models import F, Q
from django.utils import timezone

from accounts.audit.recording import record_access
from diagnosis.services.report_pdf import ReportError
from exchange.fhir import bundles
from exchange.fhir.answers import MEDIA_TYPE
from exchange.fhir.loading import Record, stored_record
from exchange.fhir.models import FhirDelivery
from exchange.fhir.rules import obstacle

logger = logging.getLogger(__name__)
State = FhirDelivery.State
# Times to wait after each try: about four days in all, so that a weekend passes.
DELAYS = [timedelta(minutes=minutes) for minutes in (1, 5, 15, 60, 180, 360)]
DELAYS += [timedelta(hours=12)] * 7
# While one process sends, no other does.
CLAIM = timedelta(minutes=10)
# Answers of servers, and of proxies before them, whose cause may pass.
PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 507}
MAX_ANSWER = 2**22
# Only variables of this prefix are read: a supervisor names the token, and must not be able to name
# another secret of the site.
PREFIX = "FHIR_TOKEN_"


class RefusedError(Exception):
    """Raised if a result will not be sent without a person; names no patient."""


class BusyError(Exception):
    """Raised for a cause that may pass; names no patient."""


class LaterError(Exception):
    """Raised if the server may take the result later.

    Attributes:
        after: the time to wait.
    """

    def __init__(self, message: str, *, after: timedelta) -> None:
        super().__init__(message)
        self.after = after


def send(delivery_id: uuid.UUID) -> str:
    """Send the current version of a result, unless it was sent or another process is sending it.

    Returns:
        What became of it, for the queue.

    Raises:
        LaterError: the server could not be reached or was busy.
        RefusedError: the server refused, or its settings cannot be used.
    """
    delivery = FhirDelivery.objects.select_related("server").filter(pk=delivery_id).first()
    if delivery is None or not _claim(delivery):
        return "Nothing to do: it was sent, is being sent, or is not due yet."
    record = stored_record(delivery.reading_id)
    if record is None:
        return "The reading no longer exists."
    try:
        return _send(delivery, record)
    except BusyError as error:
        raise _later(delivery, str(error)) from error
    except RefusedError as error:
        _finish(delivery, state=State.FAILED, error=str(error)[:300])
        raise
    except DatabaseError:
        raise
    except Exception as error:  # noqa: BLE001 - see below
        # Whatever is wrong with one reading: the others must still be sent. Its words may name
        # the patient.
        why = f"The result cannot be made ({type(error).__name__})."
        logger.error("FHIR delivery %s: %s", delivery.pk, why)
        _finish(delivery, state=State.FAILED, error=why)
        raise RefusedError(why) from None


def _claim(delivery: FhirDelivery) -> bool:
    now = timezone.now()
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lt=now)
    due = FhirDelivery.objects.filter(free, pk=delivery.pk, state=State.WAITING, due_at__lte=now)
    claimed = due.update(claimed_until=now + CLAIM, attempts=F("attempts") + 1)
    delivery.refresh_from_db()
    return bool(claimed)


def _send(delivery: FhirDelivery, record: Record) -> str:
    why = obstacle(record, delivery.server)
    is_retraction = record.reading.is_hidden and delivery.server.is_enabled and delivery.version
    if why and not is_retraction:
        _finish(delivery, state=State.CANCELLED, error=why)
        return f"Not sent: {why}"
    bundle = bundles.retraction(record) if is_retraction else _made(delivery, record)
    version = bundles.digest(bundle)
    if version != delivery.version:
        post(delivery, bundle)
        _store(delivery, record, version, is_retraction=bool(is_retraction))
    _finish(delivery, state=State.SENT, error="")
    return "Sent."


def _made(delivery: FhirDelivery, record: Record) -> bundles.Bundle:
    try:
        pdf = bundles.document(record) if delivery.server.sends_document else None
    except ReportError as error:
        raise RefusedError("The report cannot be made.") from error
    return bundles.transaction(record, pdf=pdf)


@database.atomic
def _store(delivery: FhirDelivery, record: Record, version: str, *, is_retraction: bool) -> None:
    """Store and audit that a bundle has left."""
    FhirDelivery.objects.filter(pk=delivery.pk).update(
        version=version, is_retracted=is_retraction, sent_at=timezone.now()
    )
    detail = {"to": delivery.server.name, "sha256": version, "delivery": str(delivery.pk)}
    what = "fhir-retracted" if is_retraction else "fhir-sent"
    record_access(record.reading, what=what, detail=detail)


def _later(delivery: FhirDelivery, why: str) -> Exception:
    """Let the delivery wait for its next try; after the last one, give it up."""
    if delivery.attempts > len(DELAYS):
        _finish(delivery, state=State.FAILED, error=why)
        return RefusedError(why)
    after = DELAYS[delivery.attempts - 1]
    _finish(delivery, due_at=timezone.now() + after, error=why[:300])
    return LaterError(why, after=after)


def _finish(delivery: FhirDelivery, **values: Any) -> None:
    """Store what became of it, unless there is something new to send already."""
    rows = FhirDelivery.objects.filter(pk=delivery.pk)
    rows.update(claimed_until=None)
    rows.filter(changed_at=delivery.changed_at).update(**values)


def post(delivery: FhirDelivery, bundle: bundles.Bundle) -> None:
    """Send a bundle. A redirect is never followed: it might lead elsewhere.

    Raises:
        BusyError: the server cannot be reached, or is busy.
        RefusedError: it refuses.
    """
    parts = urlsplit(delivery.server.url)
    headers = {"Content-Type": MEDIA_TYPE, "Accept": MEDIA_TYPE}
    if delivery.server.token_name:
        headers["Authorization"] = f"Bearer {token(delivery.server.token_name)}"
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    options: dict[str, Any] = {"timeout": settings.FHIR_TIMEOUT}
    if parts.scheme == "https":
        options["context"] = ssl.create_default_context()
    connection = kind(parts.hostname or "", parts.port, **options)
    try:
        body = json.dumps(bundle, ensure_ascii=False).encode()
        connection.request("POST", parts.path.rstrip("/") or "/", body=body, headers=headers)
        response = connection.getresponse()
        status, content = response.status, response.read(MAX_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise BusyError(f"The system {parts.netloc} cannot be reached.") from error
    finally:
        connection.close()
    _check(status, content, len(bundle["entry"]))


def _check(status: int, content: bytes, entries: int) -> None:
    """Check that the server has stored every resource."""
    if status in PASSING:
        raise BusyError(f"The system answered: HTTP {status}")
    if status not in (200, 201):
        raise RefusedError(f"The system answered: HTTP {status}{_codes(content)}")
    try:
        answer = json.loads(content)
        stored = [str(each["response"]["status"]) for each in answer["entry"]]
    except (ValueError, KeyError, TypeError) as error:
        raise RefusedError("The system did not answer with a transaction-response.") from error
    refused = [each for each in stored if not each.startswith("2")]
    if refused or len(stored) != entries:
        raise RefusedError(
            f"The system stored {len(stored) - len(refused)} of {entries} resources."
        )


def _codes(content: bytes) -> str:
    """Return the codes of an OperationOutcome; its words may quote the patient's details."""
    try:
        issues = json.loads(content)["issue"]
        return "".join(f", {str(each['code'])[:30]}" for each in issues[:5])
    except (ValueError, KeyError, TypeError):
        return ""


def token(name: str) -> str:
    """Return the bearer token of a name, from the environment or a file.

    Raises:
        RefusedError: there is none.
    """
    found = os.environ.get(PREFIX + name, "")
    if not found and settings.FHIR_TOKENS:
        try:
            found = (Path(settings.FHIR_TOKENS) / name).read_text().strip()
        except OSError:
            found = ""
    if not found or not found.isascii() or not found.isprintable():
        raise RefusedError(f"There is no token {name}. Set the variable {PREFIX}{name}.")
    return found
