"""Whether the model's answer about a film is withheld until the doctor has given an opinion."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from diagnosis.answer import ANSWER_FIELDS


class SealedReadingError(Exception):
    """Raised when a reading without its answer would be saved."""


class Blinding(models.Model):
    """What is stored about a reading's blind-first mode.

    It is decided once, when the film is read, so that a later change of the setting neither
    reveals an answer nor makes an opinion look blind that was not.
    """

    blind_first = models.BooleanField(
        _("the doctor's opinion comes first"), default=False, editable=False
    )
    # Until the first opinion is recorded.
    withheld = models.BooleanField(
        _("the model's result is withheld"), default=False, editable=False
    )
    opened_at = models.DateTimeField(
        _("opened by the doctor at"), null=True, blank=True, editable=False
    )
    answer_shown_at = models.DateTimeField(
        _("the model's result available since"), null=True, blank=True, editable=False
    )

    is_sealed = False

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.is_sealed:
            raise SealedReadingError(f"Reading {self.pk} was loaded without its answer.")
        super().save(*args, **kwargs)

    def seal(self) -> None:
        """Remove the model's answer and the opinion from this object; the stored row keeps both.

        A template that forgets to ask has nothing to show.
        """
        for name, empty in ANSWER_FIELDS.items():
            setattr(self, name, empty.copy() if isinstance(empty, (dict, list)) else empty)
        # What another doctor said. The second reader has to read independently of it.
        self.own_verdict = ""
        self._state.fields_cache["review"] = None
        self.is_sealed = True
