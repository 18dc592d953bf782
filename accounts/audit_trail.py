"""The audit log's rows: each sealed over itself and the row before it.

A seal is an HMAC under the site's secret key, so that whoever can write to the database, but does
not hold the key, cannot make a row that passes. `check_trail` finds what was altered, removed or
put in. Taking away the newest rows together with an old copy of the head is what no chain can
show by itself; compare with a head that was noted elsewhere (`verify_audit --head`).
"""

import getpass
import json
import os
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, ClassVar, NoReturn

from auditlog.context import auditlog_value
from auditlog.models import AbstractLogEntry, LogEntryManager
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models, transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac
from django.utils.translation import gettext_lazy as _

SALT = "accounts.audit_trail"
# What rows written by the library within `accounts.audit.during` are about.
occasion: ContextVar[tuple[str, dict[str, Any]] | None] = ContextVar("occasion", default=None)

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


# What a change of one of these fields is called, where nothing else names it.
NAMED_FIELDS = {
    ("user", "groups"): "role-changed",
    ("user", "user_permissions"): "role-changed",
    ("user", "is_superuser"): "role-changed",
    ("user", "is_staff"): "role-changed",
    ("user", "approval"): "approval-changed",
    ("modelversion", "is_active"): "model-activated",
}


class AuditTrailError(Exception):
    """The audit log was asked to forget."""


def mac(text: str, secret: str | bytes) -> str:
    return salted_hmac(SALT, text, secret=secret, algorithm="sha256").hexdigest()


def is_mac(seal: str, text: str) -> bool:
    """Returns whether `seal` was made of `text` with this site's key, or one it had before."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(constant_time_compare(seal, mac(text, key)) for key in keys)


def console_user() -> str:
    """Returns who runs this process, for changes that no request made."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())


class ActorField(models.ForeignKey):
    """Who did it; empty in the row that says that this very account was deleted."""

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        value = super().pre_save(model_instance, add)
        is_own_end = (
            model_instance.action == model_instance.Action.DELETE
            and model_instance.content_type.model_class() is self.related_model
            and str(value) == str(model_instance.object_pk)
        )
        return None if is_own_end else value


class ActorKeyField(models.PositiveBigIntegerField):
    """The number of the account that `actor` names; it stays when the account goes."""

    def pre_save(self, model_instance: Any, add: bool) -> int | None:
        if add:
            model_instance.actor_pk = model_instance.actor_id
        return super().pre_save(model_instance, add)


class SealField(models.CharField):
    """Computed when the row is written, after every other field has its value."""

    def pre_save(self, model_instance: Any, add: bool) -> str:
        if add:
            model_instance.seal = mac(model_instance.sealed_text(), settings.SECRET_KEY)
        return super().pre_save(model_instance, add)


class AuditQuerySet(models.QuerySet["AuditEntry"]):
    """Rows are added and read, nothing else."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AuditTrailError("Rows of the audit log are never changed or deleted.")

    update = delete = bulk_create = bulk_update = _refuse


class AuditEntry(AbstractLogEntry):
    """Who did what, when, from where, and what it changed.

    The row outlives the account and the object that it speaks of: both are kept as text too.
    """

    sequence = models.PositiveBigIntegerField(_("number"), unique=True, editable=False)
    what = models.CharField(_("event"), max_length=32, editable=False)
    actor_pk = ActorKeyField(_("account number"), null=True, editable=False)
    # Both have indexes below that begin with them.
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

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Adds the row at the end of the chain.

        Raises:
            AuditTrailError: if the row exists.
        """
        if not self._state.adding:
            raise AuditTrailError("Rows of the audit log are never changed or deleted.")
        self._name_occasion()
        with transaction.atomic():
            head = AuditHead.objects.locked()
            self.sequence = head.sequence + 1
            self.timestamp = timezone.now()
            self.previous_seal = head.seal
            super().save(*args, force_insert=True)
            head.move_to(self)

    def delete(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise AuditTrailError("Rows of the audit log are never changed or deleted.")

    def _name_occasion(self) -> None:
        now = occasion.get()
        if now is not None and not self.what:
            self.what = now[0]
            self._add_detail(now[1])
        if not self.what:
            self.what = self._usual_name()
        if self.actor_id is None and auditlog_value.get(None) is None:
            self._add_detail({"console": console_user()})

    def _add_detail(self, detail: dict[str, Any]) -> None:
        self.additional_data: dict[str, Any] | None = {**detail, **(self.additional_data or {})}

    def _usual_name(self) -> str:
        if self.action != self.Action.UPDATE:
            return {self.Action.CREATE: "created", self.Action.DELETE: "deleted"}.get(
                self.action, "viewed"
            )
        model = self.content_type.model
        named = (NAMED_FIELDS.get((model, field)) for field in self.changes or {})
        return next(filter(None, named), "changed")

    def sealed_text(self) -> str:
        """Returns what the seal is computed over: the seal before and every field, as JSON."""
        # As the database gives them back: a number kept as text is text.
        values = {
            name: self._meta.get_field(name).to_python(getattr(self, name))
            for name in SEALED_FIELDS
        }
        values["timestamp"] = int(self.timestamp.timestamp() * 1_000_000)
        return json.dumps(values, cls=DjangoJSONEncoder, sort_keys=True)


class AuditHeadManager(models.Manager["AuditHead"]):
    def locked(self) -> "AuditHead":
        """Returns the head; other transactions wait for it until this one ends."""
        head = self.select_for_update().filter(pk=1).first()
        if head is None:
            self.get_or_create(pk=1)
            head = self.select_for_update().get(pk=1)
        return head


class AuditHead(models.Model):
    """Number and seal of the newest row, so that a row missing at the end is noticed."""

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
        self.own_seal = mac(f"head {self}", settings.SECRET_KEY)
        self.save(update_fields=["sequence", "seal", "own_seal"])

    @property
    def is_own(self) -> bool:
        return (self.sequence, self.seal) == (0, "") or is_mac(self.own_seal, f"head {self}")


def check_trail(*, head: tuple[int, str] | None = None) -> Iterator[str]:
    """Reads the whole log, oldest row first, and yields what is wrong with it, a sentence each.

    Args:
        head: number and seal of a row as noted elsewhere before; it must still be there.
    """
    newest = AuditHead.objects.filter(pk=1).first()
    if newest is None:
        newest = AuditHead()
        if AuditEntry.objects.exists() or get_user_model().objects.exists():
            yield "The head of the log is missing: the log was emptied or its end taken away."
    last, last_seal, noted = 0, "", None
    for entry in AuditEntry.objects.order_by("sequence").iterator(chunk_size=2000):
        if entry.sequence > newest.sequence and not _written_meanwhile(newest):
            yield f"{_row(entry)} comes after the head of the log: it was put in by hand."
        if entry.sequence > last + 1:
            yield _missing(last + 1, entry.sequence - 1)
        yield from _check_entry(entry)
        if entry.sequence == last + 1 and entry.previous_seal != last_seal:
            yield f"{_row(entry)} does not follow the row before it: one of them was replaced."
        last, last_seal = entry.sequence, entry.seal
        if entry.sequence == newest.sequence and entry.seal != newest.seal:
            yield f"{_row(entry)} is not the row that the head of the log names."
        if head is not None and entry.sequence == head[0]:
            noted = entry.seal
    if last < newest.sequence:
        yield _missing(last + 1, newest.sequence)
    if not newest.is_own:
        yield f"The head of the log, which names row {newest.sequence}, was altered."
    if head is not None and noted != head[1]:
        yield f"Row {head[0]} is not the one that was noted: rows were taken away or replaced."


def _written_meanwhile(head: AuditHead) -> bool:
    """Returns whether the site has added rows since `head` was read."""
    now = AuditHead.objects.filter(pk=1).first()
    return now is not None and now.sequence > head.sequence and now.is_own


def _missing(first: int, last: int) -> str:
    return f"Row {first} is missing." if first == last else f"Rows {first} to {last} are missing."


def _row(entry: AuditEntry) -> str:
    when = entry.timestamp.strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"Row {entry.sequence} ({when}, {entry.what}, by {entry.actor_email or 'nobody'})"


def _check_entry(entry: AuditEntry) -> Iterator[str]:
    if not is_mac(entry.seal, entry.sealed_text()):
        yield f"{_row(entry)} was altered or put in by hand."
    elif entry.actor_id is not None and entry.actor_id != entry.actor_pk:
        yield f"{_row(entry)} names another account than the one that it was written for."
