"""Entering, changing and cancelling orders; each checks, changes and audits in one transaction."""

import datetime
import secrets
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils import timezone

from accounts.audit import recording
from accounts.models import User
from diagnosis.models import Team
from diagnosis.services.teams import colleagues_of, teams_of
from exchange.orders.models import Order, OrderFilm, OrderState

if TYPE_CHECKING:
    from django.db.models import QuerySet

# Neither looks like another character when it is read out or typed.
LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_LENGTH = 6


class OrderClosedError(Exception):
    """Raised when an order was performed or cancelled and cannot be changed in this way."""


def may_order(user: Any) -> bool:
    """Return whether an account may see and enter orders."""
    return bool(
        user.has_perm("diagnosis.add_reading") or user.has_perm("diagnosis.oversee_reading")
    )


def recipients_of(user: User) -> "tuple[QuerySet[User], QuerySet[Team]]":
    """Return the doctors and the teams whom `user` may enter orders for.

    Supervisors: all of them. Doctors: themselves, their colleagues and their teams.
    """
    if user.has_perm("diagnosis.oversee_reading"):
        doctors = User.objects.filter(
            groups__permissions__codename="add_reading",
            approval=User.Approval.APPROVED,
            is_active=True,
        )
        return doctors.distinct().order_by("display_name", "pk"), Team.objects.order_by("name")
    own = User.objects.filter(pk=user.pk) | User.objects.filter(pk__in=colleagues_of(user))
    return own.order_by("display_name", "pk"), teams_of(user)


def new_accession_number() -> str:
    """Return an accession number that no order has: the date and random characters."""
    day = f"{timezone.localdate():%y%m%d}"
    while True:
        number = day + "".join(secrets.choice(LETTERS) for _ in range(RANDOM_LENGTH))
        if not Order.objects.filter(accession_number=number).exists():
            return number


@transaction.atomic
def enter_order(*, by: User, fields: Mapping[str, Any]) -> Order:
    """Enter an order.

    Args:
        by: a doctor or a supervisor.
        fields: values of a valid `forms.OrderForm`, by field of `Order`. Without an accession
            number, the order gets one.

    Raises:
        PermissionDenied: the account may not enter orders, or not for this doctor or team.
        django.db.IntegrityError: the accession number has been taken.
    """
    _check_recipient(by, fields)
    order = Order(created_by=by, **fields)
    order.accession_number = order.accession_number or new_accession_number()
    with recording.event("order-created"):
        order.save(force_insert=True)
    return order


@transaction.atomic
def enter_orders(*, by: User, rows: Sequence[Mapping[str, Any]], file: str) -> list[Order]:
    """Enter the orders of a CSV file: all of them or, on any error, none.

    Args:
        by: a doctor or a supervisor.
        rows: as `fields` of `enter_order`.
        file: the file's name, for the audit log.

    Raises:
        PermissionDenied, django.db.IntegrityError: as `enter_order`.
    """
    entered = [enter_order(by=by, fields=fields) for fields in rows]
    recording.record_event(
        Order, what="orders-imported", about=file, detail={"orders": len(entered)}
    )
    return entered


@transaction.atomic
def change_order(*, by: User, order_id: uuid.UUID, fields: Mapping[str, Any]) -> Order:
    """Change an order that has not been performed.

    Raises:
        Order.DoesNotExist: `by` sees no such order.
        OrderClosedError: it has been performed or cancelled.
        PermissionDenied: as `enter_order`.
    """
    order = _locked(by, order_id)
    if not order.is_scheduled:
        raise OrderClosedError
    if any(fields.get(name) != getattr(order, name) for name in ("doctor", "team")):
        _check_recipient(by, fields)
    for name, value in fields.items():
        setattr(order, name, value)
    order.accession_number = order.accession_number or new_accession_number()
    with recording.event("order-changed"):
        order.save()
    return order


@transaction.atomic
def cancel_order(*, by: User, order_id: uuid.UUID) -> Order:
    """Cancel an order, so that machines no longer see it.

    Raises:
        Order.DoesNotExist: `by` sees no such order.
        OrderClosedError: it has been performed.
    """
    return _set_state(by, order_id, OrderState.CANCELLED, event="order-cancelled")


@transaction.atomic
def reopen_order(*, by: User, order_id: uuid.UUID) -> Order:
    """Schedule a cancelled order again.

    Raises:
        Order.DoesNotExist: `by` sees no such order.
        OrderClosedError: it has been performed.
    """
    return _set_state(by, order_id, OrderState.SCHEDULED, event="order-reopened")


@transaction.atomic
def unlink_film(*, by: User, order_id: uuid.UUID, film_id: int) -> Order:
    """State that a film does not belong to an order, which is then scheduled again.

    Raises:
        Order.DoesNotExist: `by` sees no such order.
        OrderFilm.DoesNotExist: it has no such film.
    """
    order = _locked(by, order_id)
    film = order.films.get(pk=film_id)
    detach(film, event="order-unlinked")
    order.refresh_from_db()
    return order


def detach(film: OrderFilm, *, event: str) -> None:
    """Remove a film from its order; without another film, the order is scheduled again."""
    order = film.order
    changes = {"reading": [str(film.reading_id), None]}
    film.delete()
    recording.record_change(order, what=event, changes=changes)
    if order.state == OrderState.PERFORMED and not order.films.exists():
        order.state = OrderState.SCHEDULED
        with recording.event(event):
            order.save(update_fields=["state", "updated_at"])


def forget_old(*, days: int) -> int:
    """Delete orders of long ago that have no film; return how many.

    Args:
        days: how many days ago they were scheduled for.
    """
    limit = timezone.now() - datetime.timedelta(days=days)
    old = Order.objects.filter(scheduled_at__lt=limit, films=None)
    keys = list(old.values_list("pk", flat=True))
    for key in keys:
        with recording.event("order-deleted"):
            Order.objects.filter(pk=key, films=None).delete()
    return len(keys)


def _set_state(by: User, order_id: uuid.UUID, state: OrderState, *, event: str) -> Order:
    order = _locked(by, order_id)
    if order.state == OrderState.PERFORMED:
        raise OrderClosedError
    if order.state != state:
        order.state = state
        with recording.event(event):
            order.save(update_fields=["state", "updated_at"])
    return order


def _locked(by: User, order_id: uuid.UUID) -> Order:
    if not may_order(by):
        raise PermissionDenied
    orders = Order.objects.visible_to(by).select_for_update(of=("self",))
    order: Order = orders.get(pk=order_id)
    return order


def _check_recipient(by: User, fields: Mapping[str, Any]) -> None:
    """Refuse orders for somebody whom the account may not enter orders for."""
    if not may_order(by):
        raise PermissionDenied
    doctors, teams = recipients_of(by)
    doctor, team = fields.get("doctor"), fields.get("team")
    if doctor is not None and not doctors.filter(pk=doctor.pk).exists():
        raise PermissionDenied
    if team is not None and not teams.filter(pk=team.pk).exists():
        raise PermissionDenied
