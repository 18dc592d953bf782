"""Why an X-ray from a machine waits or is kept out, in words."""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnosis.batches.texts import problem_text
from diagnosis.models.choices import SCOPE_REASONS
from diagnosis.validators import refusal_text

SENTENCES = {
    "no_rule": gettext_lazy("No routing rule matches it."),
    "doctor": gettext_lazy(
        "The rule “%(rule)s” names nobody who may read it: the account is closed, or is no member "
        "of the team."
    ),
    "quota": gettext_lazy(
        "The doctor that the rule “%(rule)s” names has used up the storage that an account may use."
    ),
    "lost": gettext_lazy("Its file is no longer on the server. Have the machine send it again."),
    "stopped": gettext_lazy(
        "It could not be routed after several attempts. The server's log says why."
    ),
    "uid_differs": gettext_lazy(
        "The machine announced another SOP Instance UID than the file states."
    ),
    "same_uid": gettext_lazy(
        "Another X-ray with the same SOP Instance UID, but other content, arrived before. Neither "
        "replaces the other. Compare them, and ask whoever operates the machine."
    ),
    "repeat": gettext_lazy("The same X-ray arrived before in another encoding."),
    "rule": gettext_lazy("Kept out by rule: %(reason)s"),
    "supervisor": gettext_lazy("Kept out by a supervisor: %(reason)s"),
}
RETURNED = {
    "CANCELLED": gettext_lazy("The doctor removed it without reading it."),
    "EXPIRED": gettext_lazy("It waited too long for the doctor's decision."),
    "": gettext_lazy("The doctor's batch with it was deleted."),
}


def reason_text(reason: Mapping[str, Any]) -> str:
    """Return why an X-ray waits or is kept out, in the active language; "" without a reason.

    Args:
        reason: as in `Arrival.reason`.
    """
    code, params = reason.get("code", ""), reason.get("params", {})
    if code in SENTENCES:
        return str(SENTENCES[code]) % params
    if code == "unread":
        return " ".join(str(SCOPE_REASONS.get(each, each)) for each in params["reasons"])
    if code == "returned":
        return str(RETURNED.get(params["item"], RETURNED[""]))
    if code == "failed":
        return _("It could not be read: %(problem)s") % {"problem": problem_text(params)}
    return refusal_text(code, params)
