"""Why something was not sent: a sentence with named values, shown in any language."""

import json
from typing import Any

from django.utils.translation import gettext, gettext_noop

DELETED = gettext_noop("The reading was deleted before it was sent.")
NEWER = gettext_noop("A newer version of the result is sent instead.")
SWITCHED_OFF = gettext_noop("The system has been switched off.")
CANCELLED = gettext_noop("Cancelled by %(who)s.")
NOT_MADE = gettext_noop("The objects cannot be made (%(error)s).")
FILM_MISSING = gettext_noop("The X-ray is missing from the storage.")
NOT_DECODED = gettext_noop("The X-ray cannot be decoded at the moment.")
REFUSED = gettext_noop("The system refused %(objects)s.")


class ReasonError(Exception):
    """An error whose message is shown to supervisors.

    Attributes:
        sentence: English, marked for translation, with named placeholders.
        detail: the values of the placeholders; never patient data.
    """

    def __init__(self, sentence: str, **detail: Any) -> None:
        super().__init__(sentence % detail)
        self.sentence, self.detail = sentence, detail

    @property
    def stored(self) -> str:
        """The reason as `shown` reads it."""
        return stored(self.sentence, **self.detail)

    @property
    def text(self) -> str:
        """The reason in the active language."""
        return shown(self.stored)


def stored(sentence: str, **detail: Any) -> str:
    """Return a reason as it is stored."""
    return json.dumps([sentence, detail], ensure_ascii=False)


def shown(text: str) -> str:
    """Return a stored reason in the active language; "" if there is none."""
    if not text:
        return ""
    sentence, detail = json.loads(text)
    return gettext(sentence) % detail
