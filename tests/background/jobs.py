"""Tasks of the tests."""

import datetime
import uuid
from typing import Any

from django.utils.translation import gettext_lazy as _

from accounts.models import User
from xraysite.common.background.tasks import TaskFailedError, TryAgainError, background_task

RAN: list[Any] = []


@background_task(_("Send an email"))
def note(context: Any, *, number: int, key: str | None = None) -> int:
    RAN.append((number, key))
    return number


@background_task(_("Send an email"))
def breaks(context: Any, *, number: int) -> None:
    raise ValueError("invalid literal for int(): '陳小明'")


@background_task(_("Send an email"))
def fails(context: Any) -> None:
    raise TaskFailedError("The model is missing.")


@background_task(_("Send an email"))
def busy(context: Any, *, number: int) -> None:
    raise TryAgainError("The storage is full.", after=datetime.timedelta(minutes=5))


@background_task(_("Send an email"))
def rename(context: Any, *, user_id: int) -> None:
    User.objects.filter(pk=user_id).update(display_name=uuid.uuid4().hex)
