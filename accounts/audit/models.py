"""The rows of the audit log, each sealed together with the row before it.

A seal is an HMAC under the log's key: somebody who can write to the database but does not hold the
key cannot forge a row. `accounts.audit.verify` finds rows that were altered, removed or inserted.
Removing the newest rows and restoring an older head leaves a consistent chain. To reveal that,
`accounts.audit.anchor` names the newest row outside the database.
"""

import getpass
import json
import logging
import os
from collections.abc import Iterable
from contextvars import ContextVar
from datetime import datetime
from typing import Any, ClassVar, NoReturn, Self

from auditlog.context import auditlog_value
from auditlog.models import AbstractLogEntry, LogEntryManager
from django.conf import settings
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _

from accounts.audit.registry import FIELD_EVENTS, name_of

logger = logging.getLogger(__name__)

# Part of every existing seal: it must never change, wherever the module moves.
SALT = "accounts.audit_trail"
# Keys of `additional_data` that list the objects shown by an event; the second one is of rows
# written before `AuditMention` existed.
SHOWN, SHOWN_BEFORE = "shown", "readings"
# The event whose rows name the kinds of objects that rows are about.
KINDS = "kinds"
# The event named by `recording.event`, for the rows that django-auditlog writes inside it.
current_event: ContextVar[tuple[str, dict[str, Any]] | None] = ContextVar(
    "current_event", default=None
)

SEALED_FIELDS = (
    "previous_seal",
    "sequence",
    "timestamp",
    "what",
    "action",
    "actor_pk",
    "actor_email",
    "remote_addr",
    "remote_port",
    "cid",
    "content_type_id",
    "object_pk",
    "object_id",
    "object_repr",
    "changes_text",
    "changes",
    "serialized_data",
    "additional_data",
)


class AuditLogError(Exception):
    """Raised on an attempt to change or delete a row of the audit log."""


def mac(text: str, secret: str | bytes) -> str:
    return salted_hmac(SALT, text, secret=secret, algorithm="sha256").hexdigest()


def keys() -> list[str | bytes]:
    """Return the keys that seal the log: the current one, then earlier ones."""
    if settings.AUDIT_KEY:
        return [settings.AUDIT_KEY, *settings.AUDIT_KEY_FALLBACKS]
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS, *settings.AUDIT_KEY_FALLBACKS]


def is_mac(seal: str, text: str) -> bool:
    """Return whether `seal` is the seal of `text` under the log's current or an earlier key."""
    return any(constant_time_compare(seal, mac(text, key)) for key in keys())


def console_user() -> str:
    """Return the operating-system user, for changes made outside a request."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container user without a name
        return str(os.getuid())


class ActorField(models.ForeignKey):
    """The acting account; empty in the row that records the deletion of that account."""

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        value = super().pre_save(model_instance, add)
        is_own_end = (
            model_instance.action == model_instance.Action.DELETE
            and model_instance.content_type.model_class() is self.related_model
            and str(value) == str(model_instance.object_pk)
        )
        return None if is_own_end else value


class ActorKeyField(models.PositiveBigIntegerField):
    """The primary key of `actor`, kept when the account is deleted."""

    def pre_save(self, model_instance: Any, add: bool) -> int | None:
        if add:
            model_instance.actor_pk = model_instance.actor_id
        return super().pre_save(model_instance, add)


class SealField(models.CharField):
    """The seal, computed when the row is written, after all other fields."""

    def pre_save(self, model_instance: Any, add: bool) -> str:
        if add:
            model_instance.seal = mac(model_instance.sealed_text(), keys()[0])
        return super().pre_save(model_instance, add)


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    """Allows adding and reading rows only."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AuditLogError("Rows of the audit log cannot be changed or deleted.")

    update = delete = bulk_create = bulk_update = _refuse

    def between(self, start: datetime, end: datetime | None = None) -> Self:
        """Return the rows written from `start` until before `end`, selected by row number."""
        first = self._first_since(start)
        if first is None:
            return self.none()
        rows = self.filter(sequence__gte=first)
        last = self._first_since(end) if end is not None else None
        return rows if last is None else rows.filter(sequence__lt=last)

    def _first_since(self, moment: datetime) -> int | None:
        rows = self.model._default_manager.filter(timestamp__gte=moment).order_by("timestamp")
        return rows.values_list("sequence", flat=True).first()


class AuditEntry(AbstractLogEntry):
    """Who did what, when, from where, and what it changed.

    The row outlives the account and the object it is about: both are also stored as text.
    """

    sequence = models.PositiveBigIntegerField(_("number"), unique=True, editable=False)
    what = models.CharField(_("event"), max_length=32, editable=False)
    actor_pk = ActorKeyField(_("account number"), null=True, editable=False)
    # The indexes below start with these two fields.
    actor = ActorField(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        db_index=False,
        verbose_name=_("account"),
    )
    content_type = models.ForeignKey(
        ContentType,
        on_delete=models.PROTECT,
        related_name="+",
        db_index=False,
        verbose_name=_("kind of object"),
    )
    previous_seal = models.CharField(
        _("seal of the row before"), max_length=64, blank=True, editable=False
    )
    seal = SealField(_("seal"), max_length=64, editable=False)

    objects: ClassVar = LogEntryManager.from_queryset(AuditQuerySet)()

    class Meta:
        verbose_name = _("audit log entry")
        verbose_name_plural = _("audit log")
        ordering: ClassVar = ["-sequence"]
        default_permissions = ("view",)
        indexes: ClassVar = [
            models.Index(fields=["what", "-sequence"], name="audit_what"),
            models.Index(fields=["actor", "-sequence"], name="audit_actor"),
            models.Index(fields=["actor_email", "-sequence"], name="audit_actor_email"),
            models.Index(fields=["remote_addr", "-sequence"], name="audit_address"),
            models.Index(fields=["content_type", "object_pk", "-sequence"], name="audit_object"),
            models.Index(fields=["content_type", "-sequence"], name="audit_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.sequence}: {name_of(self.what)}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Append the row to the chain.

        Raises:
            AuditLogError: the row already exists.
        """
        if not self._state.adding:
            raise AuditLogError("Rows of the audit log cannot be changed or deleted.")
        self._set_event()
        with transaction.atomic():
            head = AuditHead.objects.locked()
            self.sequence = head.sequence + 1
            self.timestamp = timezone.now()
            self.previous_seal = head.seal
            super().save(*args, force_insert=True)
            head.move_to(self)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AuditLogError("Rows of the audit log cannot be changed or deleted.")

    def _set_event(self) -> None:
        now = current_event.get()
        if now is not None and not self.what:
            self.what = now[0]
            self._add_detail(now[1])
        if not self.what:
            self.what = self._default_event()
        if self.actor_id is None and auditlog_value.get(None) is None:
            self._add_detail({"console": console_user()})

    def _add_detail(self, detail: dict[str, Any]) -> None:
        self.additional_data: dict[str, Any] | None = {**detail, **(self.additional_data or {})}

    def _default_event(self) -> str:
        if self.action != self.Action.UPDATE:
            return {self.Action.CREATE: "created", self.Action.DELETE: "deleted"}.get(
                self.action, "viewed"
            )
        model = self.content_type.model
        named = (FIELD_EVENTS.get((model, field)) for field in self.changes or {})
        return next(filter(None, named), "changed")

    @property
    def shown_keys(self) -> list[str]:
        """Primary keys of the objects that the event showed, if it concerns several."""
        detail = self.additional_data or {}
        keys = detail.get(SHOWN, detail.get(SHOWN_BEFORE))
        return keys if isinstance(keys, list) else []

    @property
    def is_sealed(self) -> bool:
        """Whether the row is as the site wrote it."""
        return is_mac(self.seal, self.sealed_text())

    def sealed_text(self) -> str:
        """Return the text that the seal covers: the previous seal and every field, as JSON."""
        # As the database returns them: a number stored as text is text.
        values = {
            name: self._meta.get_field(name).to_python(getattr(self, name))
            for name in SEALED_FIELDS
        }
        values["timestamp"] = int(self.timestamp.timestamp() * 1_000_000)
        return json.dumps(values, cls=DjangoJSONEncoder, sort_keys=True)


class MentionQuerySet(models.QuerySet["AuditMention"]):
    """Allows reading rows, and adding those of a new entry."""

    def add(self, entry: AuditEntry, keys: Iterable[str]) -> None:
        """Index the objects that `entry` seals as shown."""
        rows = [self.model(entry=entry, object_pk=key) for key in dict.fromkeys(keys)]
        super().bulk_create(rows)

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AuditLogError("Rows of the audit log cannot be changed or deleted.")

    update = delete = bulk_create = bulk_update = _refuse


class AuditMention(models.Model):
    """One of the objects that an entry about several of them showed.

    An index for searches by object. What counts is the sealed list in the entry;
    `accounts.audit.verify` compares the two.
    """

    entry = models.ForeignKey(
        AuditEntry, on_delete=models.PROTECT, related_name="mentions", db_index=False
    )
    object_pk = models.CharField(max_length=255)

    objects: ClassVar = MentionQuerySet.as_manager()

    class Meta:
        default_permissions = ()
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["entry", "object_pk"], name="audit_mention_once"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["object_pk", "-entry"], name="audit_mention_object"),
        ]

    def __str__(self) -> str:
        return f"{self.entry_id}: {self.object_pk}"

    def save(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AuditLogError("The index of the audit log is written with its entry.")

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AuditLogError("Rows of the audit log cannot be changed or deleted.")


class AuditHeadManager(models.Manager["AuditHead"]):
    def locked(self) -> "AuditHead":
        """Return the head, locked until the transaction ends."""
        head = self.select_for_update().filter(pk=1).first()
        if head is None:
            self.get_or_create(pk=1)
            head = self.select_for_update().get(pk=1)
        elif not head.is_own:
            # Recording goes on, so that nothing is lost besides; `verify_audit` reports it.
            logger.critical("The head of the audit log was altered. Run manage.py verify_audit.")
        return head


class AuditHead(models.Model):
    """Number and seal of the newest row, which reveal rows removed at the end."""

    sequence = models.PositiveBigIntegerField(default=0)
    seal = models.CharField(max_length=64, blank=True)
    own_seal = models.CharField(max_length=64, blank=True)

    objects: ClassVar[AuditHeadManager] = AuditHeadManager()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"{self.sequence}:{self.seal}"

    def move_to(self, entry: AuditEntry) -> None:
        self.sequence, self.seal = entry.sequence, entry.seal
        self.own_seal = mac(f"head {self}", keys()[0])
        self.save(update_fields=["sequence", "seal", "own_seal"])

    @property
    def is_own(self) -> bool:
        """Whether the site wrote the head. One without a row is never committed."""
        return self.sequence > 0 and is_mac(self.own_seal, f"head {self}")
