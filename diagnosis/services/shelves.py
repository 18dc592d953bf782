"""Services for what a doctor arranges the worklist by: tags and saved views."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.db import IntegrityError, transaction

from accounts.audit.recording import record_event
from diagnosis.models import SavedView, Tag, TagColour
from diagnosis.models.worklist import MAX_TAG_LENGTH, MAX_VIEW_NAME_LENGTH
from diagnosis.search import search_key

if TYPE_CHECKING:
    from accounts.models import User

MAX_TAGS = 100
MAX_VIEWS = 50


class NameTakenError(ValueError):
    """Raised when the doctor has another tag or view of this name, whatever its case."""


class TooManyError(ValueError):
    """Raised when the doctor has as many tags or views as allowed."""


@transaction.atomic
def create_tag(*, doctor: "User", name: str, colour: TagColour | str = TagColour.GREY) -> Tag:
    """Create a tag of the doctor's own.

    Raises:
        ValueError: the name is empty or too long, or there is no such colour.
        NameTakenError: the doctor has a tag of this name.
        TooManyError: the doctor has `MAX_TAGS` tags.
    """
    if Tag.objects.filter(doctor=doctor).count() >= MAX_TAGS:
        raise TooManyError
    tag = Tag(doctor=doctor, name=_name(name, MAX_TAG_LENGTH), colour=TagColour(colour))
    _save(tag)
    record_event(Tag, what="tag-created", about=str(tag.pk), detail={}, key=str(tag.pk))
    return tag


@transaction.atomic
def change_tag(*, doctor: "User", tag_id: int, name: str, colour: TagColour | str) -> Tag:
    """Rename or recolour one of the doctor's tags.

    Raises:
        Tag.DoesNotExist: the doctor has no such tag.
        ValueError, NameTakenError: see `create_tag`.
    """
    tag = Tag.objects.select_for_update().get(pk=tag_id, doctor=doctor)
    tag.name, tag.colour = _name(name, MAX_TAG_LENGTH), TagColour(colour)
    _save(tag)
    record_event(Tag, what="tag-changed", about=str(tag.pk), detail={}, key=str(tag.pk))
    return tag


@transaction.atomic
def delete_tag(*, doctor: "User", tag_id: int) -> None:
    """Delete one of the doctor's tags, and take it off every reading.

    Raises:
        Tag.DoesNotExist: the doctor has no such tag.
    """
    tag = Tag.objects.select_for_update().get(pk=tag_id, doctor=doctor)
    key = str(tag.pk)
    tag.delete()
    record_event(Tag, what="tag-deleted", about=key, detail={}, key=key)


@transaction.atomic
def save_view(*, doctor: "User", name: str, query: Mapping[str, str]) -> SavedView:
    """Save a filter and an order of the worklist under a name; the same name is replaced.

    The audit log gets neither the name nor the search: either may be a patient's name.

    Raises:
        ValueError: the name is empty or too long.
        TooManyError: the doctor has `MAX_VIEWS` views.
    """
    name = _name(name, MAX_VIEW_NAME_LENGTH)
    own = SavedView.objects.select_for_update().filter(doctor=doctor)
    view = own.filter(name_key=search_key(name)).first()
    if view is None and own.count() >= MAX_VIEWS:
        raise TooManyError
    view = view or SavedView(doctor=doctor)
    view.name, view.query = name, dict(query)
    _save(view)
    record_event(SavedView, what="view-saved", about=str(view.pk), detail={}, key=str(view.pk))
    return view


@transaction.atomic
def rename_view(*, doctor: "User", view_id: int, name: str) -> SavedView:
    """Rename one of the doctor's views.

    Raises:
        SavedView.DoesNotExist: the doctor has no such view.
        ValueError, NameTakenError: see `create_tag`.
    """
    view = SavedView.objects.select_for_update().get(pk=view_id, doctor=doctor)
    view.name = _name(name, MAX_VIEW_NAME_LENGTH)
    _save(view)
    record_event(SavedView, what="view-saved", about=str(view.pk), detail={}, key=str(view.pk))
    return view


@transaction.atomic
def set_default_view(*, doctor: "User", view_id: int, is_default: bool) -> SavedView:
    """Choose the view that the worklist opens with, or no view.

    Raises:
        SavedView.DoesNotExist: the doctor has no such view.
    """
    own = SavedView.objects.select_for_update().filter(doctor=doctor)
    view = own.get(pk=view_id)
    own.filter(is_default=True).update(is_default=False)
    view.is_default = is_default
    view.save(update_fields=["is_default", "updated_at"])
    record_event(SavedView, what="view-default", about=str(view.pk), detail={}, key=str(view.pk))
    return view


@transaction.atomic
def delete_view(*, doctor: "User", view_id: int) -> None:
    """Delete one of the doctor's views; the readings are untouched.

    Raises:
        SavedView.DoesNotExist: the doctor has no such view.
    """
    view = SavedView.objects.select_for_update().get(pk=view_id, doctor=doctor)
    key = str(view.pk)
    view.delete()
    record_event(SavedView, what="view-deleted", about=key, detail={}, key=key)


def _name(text: str, most: int) -> str:
    name = " ".join(text.replace("\0", " ").split())
    if not name or len(name) > most:
        raise ValueError(f"A name has 1 to {most} characters. Received: {len(name)}.")
    return name


def _save(row: Tag | SavedView) -> None:
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise NameTakenError from error
