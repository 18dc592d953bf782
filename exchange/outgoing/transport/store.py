"""Sending by C-STORE, and asking by C-ECHO."""

import io
from collections.abc import Sequence
from typing import Any, Self

from django.conf import settings
from django.utils.translation import gettext_noop
from pydicom import dcmread
from pynetdicom import AE, Association
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from exchange.outgoing.models import Target
from exchange.outgoing.objects.building import Made
from exchange.outgoing.transport.answers import (
    ANSWERED,
    NO_ROOM,
    UNREACHABLE,
    Answer,
    BusyError,
    RefusedError,
)
from exchange.outgoing.transport.credentials import tls_context

# PS3.7 annex C, PS3.4 table B.2-1.
DUPLICATE = 0x0111
OUT_OF_RESOURCES = range(0xA700, 0xA800)
WARNINGS = range(0xB000, 0xC000)
WORDS = {
    0x0110: "processing failure",
    0x0117: "invalid SOP Instance",
    0x0122: "SOP Class not supported",
    0x0124: "not authorised",
}
SILENT = gettext_noop("The system did not answer in time.")
ENDED = gettext_noop("The system ended the connection.")
REJECTED = gettext_noop("The system %(where)s rejects the connection: %(reason)s")
# Reasons for which an association is rejected for now (PS3.8 table 9-21).
TRANSIENT = 0x02


class Store:
    """An association for C-STORE."""

    def __init__(self, target: Target, objects: Sequence[Made]) -> None:
        self._target = target
        self._contexts = list(
            dict.fromkeys((made.sop_class, made.transfer_syntax) for made in objects)
        )
        self._association: Association | None = None

    def __enter__(self) -> Self:
        if self._contexts:
            self._association = _associated(self._target, self._contexts)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._association is not None and self._association.is_established:
            self._association.release()

    def send(self, made: Made) -> Answer:
        """Send one object; see `Transport.send`."""
        association = self._association
        if association is None or not association.is_established:
            raise BusyError(ENDED)
        accepted = {str(each.abstract_syntax) for each in association.accepted_contexts}
        if made.sop_class not in accepted:
            return Answer(False, "the system does not accept objects of this class")
        try:
            answer = association.send_c_store(dcmread(io.BytesIO(made.data)))
        except (ValueError, RuntimeError) as error:
            raise BusyError(ENDED) from error
        if "Status" not in answer:
            raise BusyError(SILENT)
        # Without the Error Comment, which may quote the patient's details: reasons are logged.
        return _answer(int(answer.Status))


def _answer(status: int) -> Answer:
    words = f"status 0x{status:04X}"
    if status in WORDS:
        words += f", {WORDS[status]}"
    if status == 0:
        return Answer(True)
    if status == DUPLICATE or status in WARNINGS:
        return Answer(True, words)
    if status in OUT_OF_RESOURCES:
        raise BusyError(NO_ROOM, answer=words)
    return Answer(False, words)


def echo(target: Target) -> str:
    """Send a C-ECHO; see `try_out`."""
    association = _associated(target, [(str(Verification), "")])
    try:
        answer = association.send_c_echo()
    except (ValueError, RuntimeError) as error:
        raise RefusedError(gettext_noop("The system does not accept C-ECHO.")) from error
    finally:
        association.release()
    if "Status" not in answer:
        raise BusyError(SILENT)
    if answer.Status != 0:
        raise RefusedError(ANSWERED, answer=f"status 0x{int(answer.Status):04X}")
    return "C-ECHO"


def _associated(target: Target, contexts: list[tuple[str, str]]) -> Association:
    entity = AE(ae_title=target.own_ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = settings.OUTGOING_TIMEOUT
    entity.connection_timeout = settings.OUTGOING_TIMEOUT
    for sop_class, syntax in contexts:
        entity.add_requested_context(sop_class, syntax or None)
    tls = (tls_context(), target.host) if target.uses_tls else None
    association = entity.associate(target.host, target.port, ae_title=target.ae_title, tls_args=tls)
    if association.is_established:
        return association
    where = f"{target.ae_title} {target.host}:{target.port}"
    if association.is_rejected:
        answer = association.acceptor.primitive
        kind = BusyError if getattr(answer, "result", None) == TRANSIENT else RefusedError
        raise kind(REJECTED, where=where, reason=getattr(answer, "reason_str", ""))
    raise BusyError(UNREACHABLE, where=where)
