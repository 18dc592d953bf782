"""The task that sends a stored email."""

import uuid
from typing import Any

from django.utils.translation import gettext_lazy as _

from xraysite.common.background import delivery
from xraysite.common.background.tasks import background_task


@background_task(_("Send an email"))
def send_mail(context: Any, *, mail_id: str) -> str:
    """Send a stored email; return what became of it."""
    return delivery.deliver(uuid.UUID(mail_id), task_id=context.task_result.id)
