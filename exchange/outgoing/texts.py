"""Words about what is sent, in the active language."""

from collections.abc import Iterable

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

NAMES = {"film": _("X-ray"), "sr": "SR", "sc": "SC", "seg": "SEG", "pdf": "PDF"}


def object_names(kinds: Iterable[str]) -> str:
    """Return the names of objects, by `objects.context.Kind`."""
    separator = gettext(", ")
    return separator.join(str(NAMES.get(kind, kind)) for kind in kinds)
