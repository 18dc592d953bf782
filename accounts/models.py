"""User accounts: sign-in by email address, access only after approval."""

import uuid
from typing import Any, ClassVar

from django.conf import settings
from django.contrib.auth.models import AbstractUser, BaseUserManager
from django.db import models
from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from accounts.names import validate_display_name


class UserManager(BaseUserManager["User"]):
    """Manager for accounts identified by email address instead of a username."""

    def create_user(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create an account, pending approval unless `fields` says otherwise.

        Raises:
            ValueError: `email` is empty.
        """
        if not email:
            raise ValueError("An email address is required. Received an empty string.")
        user = self.model(email=self.normalize_email(email).lower(), **fields)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **fields: Any) -> "User":
        """Create an approved superuser; the address counts as verified."""
        fields |= {"is_staff": True, "is_superuser": True, "approval": User.Approval.APPROVED}
        user = self.create_user(email, password, **fields)
        user.vouch_for_email()
        return user

    def waiting(self) -> QuerySet["User"]:
        """Return the accounts pending review, oldest first.

        Applicants are included once they have verified their email address.
        """
        return (
            self.filter(
                approval=User.Approval.PENDING,
                emailaddress__verified=True,
                emailaddress__primary=True,
            )
            .order_by("date_joined")
            .distinct()
        )

    def get_by_natural_key(self, username: str | None) -> "User":
        return self.get(email__iexact=username)


def avatar_name(user: "User", filename: str) -> str:
    """Return a random storage name, never reused, so that caches never show an old picture."""
    return f"avatars/{uuid.uuid4().hex}.webp"


class User(AbstractUser):
    """A member of the medical or technical staff."""

    class Approval(models.TextChoices):
        PENDING = "PENDING", _("Pending approval")
        APPROVED = "APPROVED", _("Approved")
        REJECTED = "REJECTED", _("Rejected")
        SUSPENDED = "SUSPENDED", _("Suspended")

    username = None  # type: ignore[assignment]
    first_name = None  # type: ignore[assignment]
    last_name = None  # type: ignore[assignment]

    email = models.EmailField(_("email address"), unique=True)
    display_name = models.CharField(_("name"), max_length=80, validators=[validate_display_name])
    hospital = models.CharField(_("hospital"), max_length=120, blank=True)
    department = models.CharField(_("department"), max_length=120, blank=True)
    licence_number = models.CharField(_("licence number"), max_length=40, blank=True)
    language = models.CharField(
        _("language"), max_length=10, choices=settings.LANGUAGES, blank=True
    )
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True)
    roc_years = models.BooleanField(_("show years of the Republic of China (ROC)"), default=False)
    show_heatmap = models.BooleanField(_("show the heatmap at once"), default=False)
    blind_first = models.BooleanField(_("own opinion before the model's result"), default=False)
    avatar = models.FileField(_("avatar"), upload_to=avatar_name, blank=True)
    approval = models.CharField(
        _("approval"), max_length=10, choices=Approval.choices, default=Approval.PENDING
    )
    approval_reason = models.TextField(_("reason for the decision"), blank=True, max_length=1000)
    approval_decided_at = models.DateTimeField(_("decided at"), null=True, blank=True)
    approval_decided_by = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("decided by"),
    )

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["display_name"]

    objects: ClassVar[UserManager] = UserManager()  # type: ignore[assignment]

    class Meta:
        verbose_name = _("account")
        verbose_name_plural = _("accounts")
        constraints = [
            models.UniqueConstraint(Lower("email"), name="accounts_user_email_ci_unique"),
        ]
        indexes = [models.Index(fields=["approval", "date_joined"], name="accounts_user_queue")]
        permissions = [("decide_user", "Can decide who gets in")]

    def __str__(self) -> str:
        return self.display_name or self.email

    def get_full_name(self) -> str:
        return self.display_name

    def get_short_name(self) -> str:
        return self.display_name

    def vouch_for_email(self) -> None:
        """Mark the account's email address as verified and primary."""
        from allauth.account.models import EmailAddress

        EmailAddress.objects.update_or_create(
            user=self, email=self.email, defaults={"verified": True, "primary": True}
        )

    @property
    def is_approved(self) -> bool:
        return self.approval == self.Approval.APPROVED


def display_name(user: User) -> str:
    """Return the account's name for allauth's pages and emails."""
    return str(user)


# Django discovers models here.
from accounts.audit.models import AuditEntry, AuditHead, AuditMention  # noqa: E402, F401
