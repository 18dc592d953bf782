from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ForumConfig(AppConfig):
    name = "forum"
    verbose_name = _("Discussion board")

    def ready(self) -> None:
        from auditlog.registry import auditlog

        from forum.board import DiscussionBoard
        from forum.models import Category, Post, Topic
        from xraysite import hooks

        auditlog.register(Category)
        auditlog.register(Topic, include_fields=["title", "category", "is_pinned", "is_locked",
                                                 "hidden_at", "hidden_reason"])  # fmt: skip
        # What was written is kept in the post and its versions, where it can be erased.
        auditlog.register(Post, include_fields=["deleted_at", "hidden_at", "hidden_reason",
                                                "version", "erased_at"])  # fmt: skip
        hooks.boards.append(DiscussionBoard())
