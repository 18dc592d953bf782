"""Sending the results of storage commitment requests: N-EVENT-REPORT."""

import logging
import threading
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_role
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from exchange.incoming.commitments import Result
from exchange.incoming.models import Commitment, Peer

logger = logging.getLogger(__name__)

ALL_SAFE, SOME_FAILED = 1, 2
TIMEOUT_S = 20


def report_of(commitment: Commitment, result: Result) -> Dataset:
    """Return the event information of a result."""
    report = Dataset()
    report.TransactionUID = UID(commitment.transaction_uid)
    report.ReferencedSOPSequence = [_item(*reference) for reference in result.safe]
    if result.failed:
        report.FailedSOPSequence = []
        for reference, reason in result.failed:
            item = _item(*reference)
            item.FailureReason = reason
            report.FailedSOPSequence.append(item)
    if not result.safe:
        del report.ReferencedSOPSequence
    return report


def _item(sop_class: str, instance: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = UID(sop_class), UID(instance)
    return item


def send_in(association: Any, commitment: Commitment, result: Result) -> bool:
    """Send a result in the association that asked for it; return whether it was confirmed."""
    if not association.is_established:
        return False
    status, _reply = association.send_n_event_report(
        report_of(commitment, result),
        SOME_FAILED if result.failed else ALL_SAFE,
        StorageCommitmentPushModel,
        StorageCommitmentPushModelInstance,
    )
    return bool(status) and status.Status == 0


def send_to(own_ae: str, peer: Peer, commitment: Commitment, result: Result) -> bool:
    """Send a result in an association of our own; return whether it was confirmed."""
    entity = AE(ae_title=own_ae)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = TIMEOUT_S
    entity.add_requested_context(StorageCommitmentPushModel)
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    association = entity.associate(
        peer.host, peer.port or 0, ae_title=peer.ae_title, ext_neg=[role]
    )
    if not association.is_established:
        return False
    try:
        return send_in(association, commitment, result)
    finally:
        association.release()


class Associations:
    """The associations in which requests were made, while these are open."""

    def __init__(self) -> None:
        self._by_request: dict[Any, Any] = {}
        self._lock = threading.Lock()

    def add(self, commitment: Commitment, association: Any) -> None:
        """Remember in which association a request was made."""
        with self._lock:
            self._by_request = {
                key: each for key, each in self._by_request.items() if each.is_established
            }
            self._by_request[commitment.pk] = association

    def of(self, commitment: Commitment) -> Any:
        """Return the association of a request, None if it is closed."""
        with self._lock:
            return self._by_request.get(commitment.pk)
