"""What happens to readings, for apps that this one does not know.

`reading_changed` is sent inside the transaction of the change, so that a receiver stores what
follows from it together with the change, or not at all. Receivers must not talk to other systems:
they store what is to be done, and do it after the commit.

Arguments: `reading`, whose columns may be older than the row, and `what`, a `Change`.
"""

from enum import StrEnum

from django.dispatch import Signal

reading_changed = Signal()


class Change(StrEnum):
    """What happened to a reading."""

    MADE = "made"
    OPINION = "opinion"  # recorded: by its doctor, a second reader or an arbiter
    RELEASED = "released"  # no second reader and no arbiter is waited for any more
    CORRECTED = "corrected"  # the patient's details
    HIDDEN = "hidden"
    RESTORED = "restored"
