"""Why a file of a batch is not read, in words."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnosis.models.discrepancies import LABELS
from diagnosis.readiness import unavailable_text
from diagnosis.validators import BUSY, UNAVAILABLE, refusal_text

SENTENCES = {
    "busy": BUSY,
    "unavailable": UNAVAILABLE,
    "storage": gettext_lazy("The X-ray cannot be stored at the moment."),
    "lost": gettext_lazy("The file is no longer on the server. Send it again."),
    "taken": gettext_lazy("The reading was deleted meanwhile. Send the file in another batch."),
    "account": gettext_lazy("Your account may not read X-rays at the moment."),
    "stopped": gettext_lazy(
        "The server stopped several times while it read this file. Report it to your administrator."
    ),
    "unexpected": gettext_lazy("An unexpected error occurred. It has been logged."),
}


def problem_text(problem: Mapping[str, Any]) -> str:
    """Return why a file is not read, in the active language; "" without a problem.

    Args:
        problem: as in `BatchItem.problem`.
    """
    code, params = problem.get("code", ""), problem.get("params", {})
    if code == "model":
        return unavailable_text(params["model"])
    if code == "undecided":
        return _undecided(params)
    return str(SENTENCES.get(code) or refusal_text(code, params))


def _undecided(params: Mapping[str, Any]) -> str:
    sentences = []
    if params["fields"]:
        names = [str(LABELS.get(field, field)) for field in params["fields"]]
        between = _(", ")
        sentences.append(
            _("The file states something else: %(fields)s.") % {"fields": between.join(names)}
        )
    if params["earlier"]:
        sentences.append(_("You have read this X-ray before."))
    if params.get("is_number_known"):
        sentences.append(_("The patient number is known under another name."))
    if params.get("is_number_doubtful"):
        sentences.append(_("The check digit of the patient number is wrong."))
    return " ".join(sentences)
