"""Sign-in by e-mail, for approved accounts only."""

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from accounts.models import User


class ApprovedAccountBackend(AuthenticationBackend):
    """Refuses accounts that are not approved.

    Django asks `user_can_authenticate` at sign-in and again when it loads the user of a session,
    so an account that is suspended is out at its next request.
    """

    def user_can_authenticate(self, user: AbstractBaseUser | AnonymousUser | None) -> bool:
        return isinstance(user, User) and user.is_approved and super().user_can_authenticate(user)
