"""What readings tell orders: a film has arrived, its header was disowned, it is purged."""

import logging
from typing import Any

from django.db import transaction
from django.db.models.signals import post_save, pre_delete

from diagnosis.models import Reading
from diagnosis.services.patients import ACCESSION_NUMBER, STUDY_UID
from exchange.orders import matching

logger = logging.getLogger(__name__)


def connect() -> None:
    """Connect orders to readings."""
    post_save.connect(_saved, sender=Reading, dispatch_uid="orders.match")
    pre_delete.connect(_purged, sender=Reading, dispatch_uid="orders.forget")


def _saved(instance: Reading, created: bool, raw: bool = False, **_: Any) -> None:
    """Match a new reading with its order, and again if its header turns out to be another's.

    In the transaction of the reading, so that no film is forgotten if the process is killed. An
    order is never a reason not to store a reading.
    """
    stated = instance.film_patient or {}
    names_one = bool(stated.get(STUDY_UID) or stated.get(ACCESSION_NUMBER))
    if raw or not names_one or not (created or instance.header_disowned):
        return
    try:
        with transaction.atomic():
            matching.match_order(instance)
    except Exception:
        logger.exception("A reading could not be matched with its order.")


def _purged(instance: Reading, **_: Any) -> None:
    """Delete the order of a reading that is purged, with the patient's details."""
    matching.forget_with(instance)
