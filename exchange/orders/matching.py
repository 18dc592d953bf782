"""Films that arrive for an order, and where their patient is another one than the order's.

The order changes nothing about a reading: whose film it is follows from the file and from the
doctor's decisions. A difference is kept with the order and shown to everybody who sees both.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from accounts.audit import recording
from diagnosis.models import Reading
from diagnosis.models.discrepancies import shown_value
from diagnosis.search import number_key
from diagnosis.services.patients import (
    ACCESSION_NUMBER,
    FIELDS,
    STUDY_UID,
    StatedPatient,
    is_same_name,
    text_of,
)
from exchange.orders import names
from exchange.orders.models import Order, OrderFilm, OrderState
from exchange.orders.services import detach

LABELS = {
    "patient_name": _("Patient's name"),
    "patient_number": _("Patient number"),
    "patient_birth_date": _("Date of birth"),
    "patient_sex": _("Sex"),
    ACCESSION_NUMBER: _("Accession number"),
}


@dataclass(frozen=True)
class Difference:
    """What the order and the film's file state differently, in words."""

    label: str
    order: str
    film: str


def match_order(reading: Reading) -> OrderFilm | None:
    """Note that a reading's film arrived for an order, if its file names one.

    The Study Instance UID that the worklist gave to the machine counts first, then the accession
    number. May be called again: a reading has one order at most. Call it in the transaction that
    saves the reading.

    Returns:
        The film of the order, or None if the file names no order.
    """
    stated = {} if reading.header_disowned else reading.film_patient or {}
    known = OrderFilm.objects.filter(reading=reading).select_related("order").first()
    order, matched_by = _order_of(stated)
    if known is not None and (order is None or known.order_id != order.pk):
        detach(known, event="order-unlinked")
        known = None
    if order is None:
        return None
    if known is None:
        known = OrderFilm(order=order, reading=reading, matched_by=matched_by)
    known.differences = [name for name in LABELS if _differs(name, order, stated_about(reading))]
    known.save()
    if order.state != OrderState.PERFORMED and not _is_somebody_elses(known):
        order.state = OrderState.PERFORMED
        with recording.event("order-performed", reading=str(reading.pk)):
            order.save(update_fields=["state", "updated_at"])
    return known


def _is_somebody_elses(film: OrderFilm) -> bool:
    """Return whether nothing but an accession number, which sites share, speaks for the order.

    The order's own patient must stay on the worklist of the machines.
    """
    is_by_number = film.matched_by == OrderFilm.MatchedBy.ACCESSION
    return is_by_number and {"patient_name", "patient_number"} <= set(film.differences)


def _order_of(stated: StatedPatient) -> tuple[Order | None, str]:
    """Return the order that a file names, and by what."""
    uid = str(stated.get(STUDY_UID, "")).strip()
    accession = str(stated.get(ACCESSION_NUMBER, "")).strip()
    orders = Order.objects.select_for_update()
    if uid and (order := orders.filter(study_uid=uid).first()) is not None:
        return order, OrderFilm.MatchedBy.STUDY_UID
    if accession and (order := orders.filter(accession_number=accession).first()) is not None:
        return order, OrderFilm.MatchedBy.ACCESSION
    return None, ""


def stated_about(reading: Reading) -> StatedPatient:
    """Return what the file states about the patient; what it does not state, as its doctor wrote.

    The doctor's name for a patient is another script of the file's name or replaces it, so it
    counts as a further name.
    """
    stated = dict(reading.film_patient or {})
    for field in FIELDS:
        value = getattr(reading, field)
        if value not in (None, ""):
            stated.setdefault(field, str(value))
    return stated


def _differs(field: str, order: Order, stated: StatedPatient) -> bool:
    ordered, found = _ordered(field, order), text_of(field, stated)
    if not ordered or not found:
        return False
    if field == "patient_name":
        return _are_other_names(order.name_groups, [found, *stated.get("other_names", [])])
    if field == "patient_number":
        return number_key(ordered) != number_key(found)
    return ordered.strip() != found.strip()


def _are_other_names(ordered: Iterable[str], found: Iterable[str]) -> bool:
    """Return whether names differ that can be compared: those in the same kind of script."""
    wanted = [names.shown(group) for group in ordered]
    is_comparable = False
    for one in wanted:
        for other in map(names.shown, found):
            if names.is_ideographic(one) == names.is_ideographic(other):
                is_comparable = True
                if is_same_name(one, other):
                    return False
    return is_comparable


def _ordered(field: str, order: Order) -> str:
    values: dict[str, Any] = {
        "patient_name": order.patient_name,
        "patient_number": order.patient_number,
        "patient_birth_date": order.birth_date or "",
        "patient_sex": order.sex,
        ACCESSION_NUMBER: order.accession_number,
    }
    return str(values[field])


def differences_of(film: OrderFilm) -> list[Difference]:
    """Return in words where order and film differ; only for people who see both."""
    order, reading = film.order, film.reading
    stated = stated_about(reading)
    found = []
    for field in film.differences:
        values = [_ordered(field, order), text_of(field, stated)]
        if field == "patient_name":
            values = [
                " / ".join([order.patient_name, *order.other_names]),
                " / ".join([text_of(field, stated), *stated.get("other_names", [])]),
            ]
        texts = [shown_value(field, value) if value else "" for value in values]
        found.append(Difference(str(LABELS.get(field, field)), *texts))
    return found


@transaction.atomic
def forget_with(reading: Reading) -> None:
    """Delete the order of a reading that is purged, unless it has further films."""
    film = OrderFilm.objects.filter(reading=reading).select_related("order").first()
    if film is None or film.order.films.exclude(pk=film.pk).exists():
        return
    with recording.event("order-deleted"):
        film.order.delete()
