"""Words about what is sent, in the active language."""

from collections.abc import Iterable

from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

NAMES = {
    "film": _("X-ray"),
    "sr": _("structured report"),
    "sc": _("picture of the heatmap"),
    "seg": _("values of the heatmap"),
    "pdf": pgettext_lazy("object", "report"),
}


def object_names(kinds: Iterable[str]) -> str:
    """Return the names of objects, by `objects.context.Kind`."""
    separator = gettext(", ")
    return separator.join(str(NAMES.get(kind, kind)) for kind in kinds)
