"""What machines report while they take an X-ray: Modality Performed Procedure Step.

A completed step is no film: the order stays scheduled until the film arrives, but the worklist no
longer offers it. A discontinued one offers the order again.
"""

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from accounts.audit.recording import record_event
from exchange.orders.models import Order, PerformedStep
from exchange.orders.worklist.queries import Peer

Status = PerformedStep.Status
ENDED = {Status.COMPLETED, Status.DISCONTINUED}


class StepError(Exception):
    """Raised when a report is refused.

    Attributes:
        status: the DIMSE status (PS3.7, annex C).
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@transaction.atomic
def begin_step(*, uid: str, report: Dataset, peer: Peer) -> PerformedStep:
    """Keep that a machine has begun.

    Args:
        uid: the step's SOP Instance UID; empty to have one made.
        report: the attributes of the N-CREATE request.
        peer: who reports it.

    Raises:
        StepError: the step exists, or is not in progress.
    """
    if _status(report) != Status.IN_PROGRESS:
        raise StepError(0x0106, "A new step is IN PROGRESS.")
    step = PerformedStep(
        uid=uid or generate_uid(prefix=None),
        order=_order_of(report),
        status=Status.IN_PROGRESS,
        station_ae_title=str(report.get("PerformedStationAETitle") or peer.ae_title)[:16],
    )
    try:
        with transaction.atomic():
            step.save(force_insert=True)
    except IntegrityError as error:
        raise StepError(0x0111, "The step exists.") from error
    _record(step, peer, what="order-step-begun")
    return step


@transaction.atomic
def change_step(*, uid: str, report: Dataset, peer: Peer) -> PerformedStep:
    """Keep that a machine has completed or discontinued a step.

    Raises:
        StepError: there is no such step, or it has ended.
    """
    step = PerformedStep.objects.select_for_update().filter(uid=uid).first()
    if step is None:
        raise StepError(0x0112, "There is no such step.")
    if step.status in ENDED:
        raise StepError(0x0110, "The step has ended and cannot be changed.")
    status = _status(report) or step.status
    if status not in Status.values:
        raise StepError(0x0106, "Unknown status of the step.")
    if status in ENDED:
        step.status, step.ended_at = status, timezone.now()
        step.save(update_fields=["status", "ended_at"])
        _record(step, peer, what="order-step-ended")
    return step


def _status(report: Dataset) -> str:
    return str(report.get("PerformedProcedureStepStatus") or "").strip().upper()


def _order_of(report: Dataset) -> Order | None:
    """Return the order that the machine took from the worklist; None if it took none."""
    for item in report.get("ScheduledStepAttributesSequence") or []:
        condition = Q()
        if uid := str(item.get("StudyInstanceUID") or "").strip():
            condition |= Q(study_uid=uid)
        for keyword in ("AccessionNumber", "ScheduledProcedureStepID", "RequestedProcedureID"):
            if number := str(item.get(keyword) or "").strip():
                condition |= Q(accession_number=number)
        orders = list(Order.objects.filter(condition)[:2]) if condition else []
        if len(orders) == 1:
            return orders[0]
    return None


def _record(step: PerformedStep, peer: Peer, *, what: str) -> None:
    detail: dict[str, Any] = {"ae_title": peer.ae_title, "step": step.uid, "status": step.status}
    record_event(
        Order, what=what, about=peer.ae_title, detail=detail, key=str(step.order_id or ""),
        remote_addr=peer.address,
    )  # fmt: skip
