"""Who a session may belong to, and who holds permissions."""

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from accounts.models import User


class ApprovedAccountBackend(AuthenticationBackend):
    """Sign-in by e-mail; rights for approved accounts only, and nothing for suspended ones.

    An account that waits or was rejected signs in to read its own status page
    (`accounts.middleware`), and holds no permission meanwhile, whatever its groups.
    Django asks `user_can_authenticate` at sign-in and again when it loads the user of a session,
    so an account that is suspended is out at its next request.
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
