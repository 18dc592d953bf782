"""Which results go to which target."""

from django.utils.translation import gettext_noop

from diagnosis.models import Label, Reading, Review
from diagnosis.models.choices import UNSETTLED
from exchange.outgoing.models import Target


def targets_for(reading: Reading) -> list[Target]:
    """Return the enabled targets that a reading's current result goes to.

    Args:
        reading: a reading as it is stored now.
    """
    enabled = list(Target.objects.filter(is_enabled=True).prefetch_related("teams"))
    if not enabled:
        return []
    is_signed = Review.objects.filter(reading=reading, signed_at__isnull=False).exists()
    return [target for target in enabled if not obstacle(reading, target, is_signed=is_signed)]


def obstacle(reading: Reading, target: Target, *, is_signed: bool) -> str:
    """Return why a reading's result does not go to a target, or "".

    The words are English, and marked for translation.
    """
    if reading.is_hidden:
        return gettext_noop("The reading has been deleted.")
    # What its doctor may not see yet does not leave by another way.
    if reading.withheld:
        return gettext_noop("The doctor's own opinion comes first.")
    if reading.second_state in UNSETTLED:
        return gettext_noop("A second reading or an arbiter's decision comes first.")
    if reading.label == Label.UNSURE and not target.sends_unsure:
        return gettext_noop("The result is inconclusive.")
    if reading.label == Label.OUT_OF_SCOPE and not target.sends_out_of_scope:
        return gettext_noop("The X-ray is out of scope.")
    if target.when == Target.When.SIGNED and not is_signed:
        return gettext_noop("No opinion has been signed.")
    teams = {team.pk for team in target.teams.all()}
    if teams and reading.team_id not in teams:
        return gettext_noop("The reading is of no team whose results go there.")
    return ""
