"""Teams: doctors who share patients and the worklist."""

from typing import ClassVar

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy


class SecondReadingRule(models.TextChoices):
    """Which signed X-rays of a team get a second reading."""

    ALL = "ALL", _("All X-rays")
    DISAGREEMENT = "DISAGREEMENT", _("Those where doctor and model disagree")
    SAMPLE = "SAMPLE", _("A random sample")


class Team(models.Model):
    """A group of doctors who see the readings that its members made in it.

    Supervisors create it and decide who is a member, see `services.teams`.
    """

    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=80, unique=True)
    members = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        through="TeamMembership",
        related_name="teams",
        verbose_name=_("members"),
    )
    blind_first = models.BooleanField(
        _("own opinion before the model's result"),
        default=False,
        help_text=_(
            "Members record what they see before the model's result is sent to them, on every "
            "X-ray that they upload from now on, whatever they chose in their profile."
        ),
    )
    second_reading = models.CharField(
        _("second reading"),
        max_length=12,
        choices=SecondReadingRule.choices,
        blank=True,
        help_text=_(
            "Which X-rays of the team another member reads too, once the first doctor has signed. "
            "Until then, members see neither opinion nor result of each other's X-rays. Where the "
            "two differ, an arbiter of the team decides. It applies to X-rays uploaded from now on."
        ),
    )
    second_percent = models.PositiveSmallIntegerField(
        _("share of a random sample (percent)"),
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("team")
        verbose_name_plural = _("teams")
        default_permissions = ()
        ordering: ClassVar = ["name", "id"]

    def __str__(self) -> str:
        return self.name


class TeamMembership(models.Model):
    """A doctor's membership. Deleting the row ends the doctor's access to the team's readings."""

    class Role(models.TextChoices):
        MEMBER = "MEMBER", _("Member")
        LEAD = "LEAD", _("Team lead")
        ARBITER = "ARBITER", pgettext_lazy("second reading", "Arbiter")

    team = models.ForeignKey(
        Team, on_delete=models.CASCADE, related_name="memberships", verbose_name=_("team")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="team_memberships",
        verbose_name=_("doctor"),
    )
    role = models.CharField(_("role"), max_length=8, choices=Role.choices, default=Role.MEMBER)
    joined_at = models.DateTimeField(_("member since"), auto_now_add=True)

    class Meta:
        verbose_name = _("member of a team")
        verbose_name_plural = _("members of teams")
        default_permissions = ()
        ordering: ClassVar = ["team", "user__display_name", "id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "user"], name="team_member_once"),
        ]

    def __str__(self) -> str:
        return str(self.pk)
