"""The task that emails notifications soon after a post, without waiting for the timer."""

import datetime
from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from forum import mailing, notifications
from forum.models import Notification, Post
from xraysite.common.background.tasks import background_task, enqueue, has_workers

# Notifications are due when the grace period is over.
MARGIN = datetime.timedelta(seconds=5)


def connect() -> None:
    """Enqueue the task whenever users are notified of a post."""
    notifications.announced.connect(send_soon, dispatch_uid=f"{__name__}.send_soon")


def send_soon(*, post: Post, **kwargs: Any) -> None:
    """Enqueue the task for when the post's notifications are due.

    Without workers, or a base URL for links, the timer sends them.
    """
    if not has_workers() or not settings.SITE_URL:
        return
    if Notification.objects.filter(post=post, mailed_at__isnull=True).exists():
        enqueue(send_board_mail, after=mailing.GRACE + MARGIN)


@background_task(_("Send emails of the discussion board"))
def send_board_mail(context: Any) -> str:
    """Send the emails that are due, whichever post they are about.

    May run twice: what was sent is not due any more.
    """
    sent, failed = mailing.send_due(site=settings.SITE_URL)
    return f"{sent} emails sent, {failed} failed."
