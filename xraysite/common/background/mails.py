"""Emails that are stored with the change that they report, and sent by a task."""

import uuid
from datetime import timedelta

from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from xraysite.common.background.delivery import ABANDONED
from xraysite.common.background.mail_content import packed
from xraysite.common.background.mail_tasks import send_mail
from xraysite.common.background.models import Mail
from xraysite.common.background.tasks import TaskFailedError, enqueue, has_database_queue

RESTORED = "It waited in a backup that was restored, and may have been sent since the backup."


class AtMostOnceMessage(EmailMessage):
    """An email that is rather lost than sent twice, because it repeats what the site shows."""


@transaction.atomic
def store(message: EmailMessage) -> Mail:
    """Store an email and the task that sends it, in the current transaction."""
    key = uuid.uuid4()
    mail = Mail.objects.create(
        pk=key,
        content=packed(message, mail_id=key),
        is_sent_at_most_once=isinstance(message, AtMostOnceMessage),
        due_at=timezone.now(),
    )
    enqueue(send_mail, mail_id=mail.pk)
    return mail


def requeue() -> int:
    """Enqueue again the emails whose task has vanished; return their number.

    A task is lost if a broker could not be reached, or if the worker failed at the database.
    """
    now = timezone.now()
    lost = Mail.objects.filter(
        Q(state=Mail.State.WAITING, due_at__lt=now - ABANDONED)
        | Q(
            state=Mail.State.SENDING,
            claimed_at__lt=now - ABANDONED,
            due_at__lt=now - ABANDONED,
        )
    )
    keys = set(lost.values_list("pk", flat=True))
    if keys:
        keys -= _in_database_queue()
    for key in keys:
        with transaction.atomic():
            # The next call leaves it alone for a while.
            Mail.objects.filter(pk=key).update(due_at=now)
            enqueue(send_mail, mail_id=key)
    return len(keys)


def _in_database_queue() -> set[uuid.UUID]:
    if not has_database_queue():
        return set()
    unfinished = DBTaskResult.objects.filter(
        task_path=send_mail.module_path, status__in=["READY", "RUNNING"]
    )
    arguments = unfinished.values_list("args_kwargs", flat=True)
    return {uuid.UUID(each["kwargs"]["mail_id"]) for each in arguments}


@transaction.atomic
def set_aside() -> int:
    """Let the emails that wait count as failed, and return their number.

    For a restored database: they may have been sent since the backup. A person can send each.
    """
    unsent = Mail.objects.filter(state__in=[Mail.State.WAITING, Mail.State.SENDING])
    number = unsent.update(state=Mail.State.UNCERTAIN, finished_at=timezone.now(), error=RESTORED)
    DBTaskResult.objects.filter(
        task_path=send_mail.module_path, status__in=["READY", "RUNNING"]
    ).update(
        status="FAILED",
        finished_at=timezone.now(),
        exception_class_path=f"{TaskFailedError.__module__}.{TaskFailedError.__qualname__}",
        traceback=f"{TaskFailedError.__qualname__}: {RESTORED}\n",
    )
    return number


def prune(*, sent_before: timedelta, others_before: timedelta) -> int:
    """Delete emails that were sent, and those that failed, some time ago; return their number."""
    now = timezone.now()
    old = Mail.objects.filter(
        Q(state=Mail.State.SENT, finished_at__lt=now - sent_before)
        | Q(
            state__in=[Mail.State.FAILED, Mail.State.UNCERTAIN],
            finished_at__lt=now - others_before,
        )
    )
    return old.delete()[0]
