"""Rules that say whose worklist an X-ray goes to."""

from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from diagnosis.models import MAX_AGE_YEARS, Team

PATTERN_HELP = _("If empty, any. * stands for any characters; case does not matter.")


class RoutingRule(models.Model):
    """The first active rule that an X-ray matches decides what becomes of it.

    Attributes:
        position: rules are tried in this order.
        age_from, age_to: completed years, both included. X-rays without an age do not match.
        takes_unread: whether it also decides about X-rays that the model does not read by what
            their header states: lateral views, other body parts. They then reach the doctor
            without a result.
        reason: why the X-rays are kept out, for people.
    """

    class Action(models.TextChoices):
        ROUTE = "ROUTE", _("Send to the worklist of")
        KEEP_OUT = "KEEP_OUT", _("Keep out")

    position = models.PositiveSmallIntegerField(
        pgettext_lazy("of a rule", "order"),
        default=10,
        help_text=_("The first rule that matches decides."),
    )
    name = models.CharField(pgettext_lazy("of a thing", "name"), max_length=80, unique=True)
    is_active = models.BooleanField(_("in use"), default=True)
    calling_ae = models.CharField(
        _("calling AE title"), max_length=40, blank=True, help_text=PATTERN_HELP
    )
    station = models.CharField(_("station name"), max_length=80, blank=True, help_text=PATTERN_HELP)
    institution = models.CharField(
        _("institution"), max_length=120, blank=True, help_text=PATTERN_HELP
    )
    modality = models.CharField(_("modality"), max_length=40, blank=True, help_text=PATTERN_HELP)
    body_part = models.CharField(_("body part"), max_length=80, blank=True, help_text=PATTERN_HELP)
    age_from = models.PositiveSmallIntegerField(
        _("age from (years)"),
        null=True,
        blank=True,
        validators=[MaxValueValidator(MAX_AGE_YEARS)],
        help_text=_("X-rays that state no age do not match a rule with an age."),
    )
    age_to = models.PositiveSmallIntegerField(
        _("age to (years)"), null=True, blank=True, validators=[MaxValueValidator(MAX_AGE_YEARS)]
    )
    action = models.CharField(
        _("action"), max_length=8, choices=Action.choices, default=Action.ROUTE
    )
    doctor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("doctor"),
        help_text=_("If empty, the lead of the team, otherwise its first member."),
    )
    team = models.ForeignKey(
        Team,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("team"),
        help_text=_("Its members see the readings on their worklists, too."),
    )
    takes_unread = models.BooleanField(
        _("also X-rays that the model does not read"),
        default=False,
        help_text=_(
            "Lateral views and other body parts are otherwise kept out. With this, they reach the "
            "doctor without a result."
        ),
    )
    reason = models.CharField(
        _("reason"),
        max_length=200,
        blank=True,
        help_text=_("Why they are kept out. Shown to supervisors."),
    )

    class Meta:
        verbose_name = _("routing rule")
        verbose_name_plural = _("routing rules")
        default_permissions = ()
        ordering: ClassVar = ["position", "id"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        if self.action == self.Action.KEEP_OUT:
            self.doctor = self.team = None
            if not self.reason:
                raise ValidationError({"reason": _("Enter why these X-rays are kept out.")})
            return
        self.reason = ""
        if self.doctor is None and self.team is None:
            raise ValidationError({"doctor": _("Choose a doctor, a team, or both.")})
        if (
            self.doctor is not None
            and self.team is not None
            and not self.team.memberships.filter(user=self.doctor).exists()
        ):
            raise ValidationError({"team": _("The doctor is no member of this team.")})
        if self.age_from is not None and self.age_to is not None and self.age_from > self.age_to:
            raise ValidationError({"age_to": _("The range of ages is empty.")})
