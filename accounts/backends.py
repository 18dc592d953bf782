"""The authentication backend: who may sign in and who has permissions."""

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from accounts.models import User


class ApprovedAccountBackend(AuthenticationBackend):
    """Sign-in by email address; permissions for approved accounts only.

    Pending and rejected accounts can sign in to read their status page (`accounts.middleware`) but
    have no permissions, whatever their groups. Django calls `user_can_authenticate` at sign-in and
    when it loads the user of a session, so a suspended account is signed out by its next request.
    """

    def user_can_authenticate(self, user: AbstractBaseUser | AnonymousUser | None) -> bool:
        return (
            isinstance(user, User)
            and user.approval != User.Approval.SUSPENDED
            and super().user_can_authenticate(user)
        )

    def get_all_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        if not getattr(user_obj, "is_approved", False):
            return set()
        return super().get_all_permissions(user_obj, obj)
