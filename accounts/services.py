"""Changes of an account: each checks, changes, and leaves its trace in the audit log."""

from django.contrib.auth.models import Group
from django.db import transaction

from accounts import roles
from accounts.models import User


@transaction.atomic
def create_account(
    *,
    email: str,
    display_name: str,
    password: str,
    role: str,
    hospital: str = "",
    department: str = "",
) -> User:
    """Creates an approved account with one role.

    Args:
        role: one of the keys of `roles.PERMISSIONS`. Those of `roles.IN_ADMIN` get into the admin.

    Raises:
        ValueError: if the role is unknown.
    """
    if role not in roles.PERMISSIONS:
        raise ValueError(f"No role {role!r}; roles are {', '.join(roles.PERMISSIONS)}.")
    user = User.objects.create_user(
        email,
        password,
        display_name=display_name,
        hospital=hospital,
        department=department,
        approval=User.Approval.APPROVED,
        is_staff=role in roles.IN_ADMIN,
    )
    user.groups.add(Group.objects.get(name=role))
    user.vouch_for_email()
    return user


def update_profile(*, user: User) -> User:
    """Stores what the owner of an account may change of it."""
    user.save(update_fields=["display_name", "hospital", "department", "language"])
    return user
