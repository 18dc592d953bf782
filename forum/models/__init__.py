"""The models of the discussion board."""

from forum.models.people import (
    Draft,
    Follow,
    Member,
    Notification,
    Report,
    TopicRead,
)
from forum.models.posts import (
    MAX_BODY,
    MAX_REASON,
    MAX_TITLE,
    POSTS_A_PAGE,
    Category,
    Picture,
    Post,
    PostVersion,
    Topic,
    picture_name,
)

__all__ = [
    "MAX_BODY",
    "MAX_REASON",
    "MAX_TITLE",
    "POSTS_A_PAGE",
    "Category",
    "Draft",
    "Follow",
    "Member",
    "Notification",
    "Picture",
    "Post",
    "PostVersion",
    "Report",
    "Topic",
    "TopicRead",
    "picture_name",
]
