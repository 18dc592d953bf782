"""Notification emails; they never contain what was posted."""

import datetime
from collections import defaultdict

from django.db import transaction
from django.utils import timezone

from accounts import mails
from accounts.models import User
from forum.models import Member, Notification
from forum.notifications import due_for_mail, keep_digest_sent, member, visible_notifications

# Posts that a user reads on the site within this time cause no email.
GRACE = datetime.timedelta(minutes=2)
DAY = datetime.timedelta(hours=24)
LISTED = 50


def send_due(*, site: str) -> tuple[int, int]:
    """Send the emails that are due: one per notification or a daily digest, as each user chose.

    Can be repeated at any time: what could not be sent is due again at the next call.

    Args:
        site: base URL of the site, for links.

    Returns:
        The number of emails sent and the number that failed.
    """
    by_user: dict[int, list[int]] = defaultdict(list)
    due = due_for_mail(timezone.now() - GRACE).values_list("recipient_id", "pk")
    for recipient, pk in due.iterator():
        by_user[recipient].append(pk)
    sent = failed = 0
    for recipient, keys in by_user.items():
        done, not_done = _send_to(recipient, keys, site)
        sent, failed = sent + done, failed + not_done
    return sent, failed


def _send_to(recipient: int, keys: list[int], site: str) -> tuple[int, int]:
    user = User.objects.get(pk=recipient)
    kept = member(user)
    wish = kept.mail
    if wish == Member.Mail.NEVER or not user.is_approved:
        _mailed(keys)
        return 0, 0
    now = timezone.now()
    if wish == Member.Mail.DAILY:
        last = kept.digest_sent_at
        if last is not None and now - last < DAY:
            return 0, 0
        return _send(user, keys, site, is_digest=True)
    totals = [_send(user, [key], site, is_digest=False) for key in keys]
    return sum(done for done, _not in totals), sum(failed for _done, failed in totals)


@transaction.atomic
def _send(user: User, keys: list[int], site: str, *, is_digest: bool) -> tuple[int, int]:
    """Send one email and mark its notifications as emailed if that succeeded.

    The rows are locked, so that two processes do not send it twice.
    """
    rows = Notification.objects.select_for_update(of=("self",), skip_locked=True)
    waiting = rows.filter(pk__in=keys, mailed_at__isnull=True, read_at__isnull=True)
    locked = [row.pk for row in waiting]
    shown = (
        visible_notifications(user)
        .filter(pk__in=locked)
        .select_related("post__topic__category", "actor")
    )
    news = list(shown[:LISTED])
    if not news:
        _mailed(locked)
        return 0, 0
    name = "digest" if is_digest else "news"
    context = {"news": news, "count": len(locked), "site": site}
    # An email repeats what the site shows: a second one would annoy, a lost one does no harm.
    if not mails.send(name, to=[user], folder="forum/mail", is_sent_at_most_once=True, **context):
        return 0, 1
    _mailed(locked)
    if is_digest:
        keep_digest_sent(user=user)
    return 1, 0


def _mailed(keys: list[int]) -> None:
    Notification.objects.filter(pk__in=keys).update(mailed_at=timezone.now())
