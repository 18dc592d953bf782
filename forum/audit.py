"""The audit events of the discussion board."""

from auditlog.registry import auditlog
from django.utils.translation import gettext_lazy as _

from accounts.audit import registry
from forum.models import Category, Post, Topic

EVENTS = {
    "topic-opened": _("started a topic"),
    "posted": _("posted a reply"),
    "post-edited": _("edited a post"),
    "post-deleted": _("deleted a post"),
    "post-restored": _("restored a post"),
    "post-hidden": _("hid a post"),
    "post-shown": _("made a hidden post visible"),
    "post-erased": _("permanently erased a post"),
    "post-reported": _("reported a post"),
    "report-decided": _("resolved reports"),
    "topic-pinned": _("pinned a topic"),
    "topic-unpinned": _("unpinned a topic"),
    "topic-locked": _("locked a topic"),
    "topic-unlocked": _("unlocked a topic"),
    "topic-moved": _("moved a topic"),
    "topic-hidden": _("hid a topic"),
    "topic-shown": _("made a hidden topic visible"),
}


def register() -> None:
    """Register the events and the recorded models of this app.

    What was written is not among the recorded fields: posts keep their own versions, which can be
    erased.
    """
    registry.register(EVENTS)
    auditlog.register(Category)
    auditlog.register(
        Topic,
        include_fields=[
            "title", "category", "is_pinned", "is_locked", "hidden_at", "hidden_reason",
        ],
    )  # fmt: skip
    auditlog.register(
        Post,
        include_fields=["deleted_at", "hidden_at", "hidden_reason", "version", "erased_at"],
    )
