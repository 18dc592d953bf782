"""Doctors whom X-rays can be sent to."""

from django.db.models import QuerySet

from accounts import roles
from accounts.models import User


def doctors() -> QuerySet[User]:
    """Return the approved doctors by name."""
    approved = User.objects.filter(groups__name=roles.DOCTOR, approval=User.Approval.APPROVED)
    return approved.filter(is_active=True).order_by("display_name", "email")
