"""What the events of the audit log are called."""

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

EVENTS: dict[str, str | Promise] = {
    "sign-in": _("signed in"),
    "sign-in-failed": _("failed to sign in"),
    "sign-out": _("signed out"),
    "session-over": _("was signed out after the session's time"),
    "picture-changed": _("changed the own picture"),
    "second-factor-added": _("set up a second factor"),
    "second-factor-removed": _("removed a second factor"),
    "second-factor-given": _("gave the second factor"),
    "second-factor-failed": _("failed to give the second factor"),
    "second-factor-reset": _("had the second factors taken away"),
    "recovery-codes-made": _("made new recovery codes"),
    "recovery-code-used": _("used a recovery code"),
    "created": _("created"),
    "changed": _("changed"),
    "deleted": _("deleted"),
    "viewed": _("viewed"),
    "page": _("looked at the page"),
    "film": _("looked at the film"),
    "thumbnail": _("looked at the small film"),
    "heatmap": _("looked at the heatmap"),
    "report": _("looked at the report"),
    "admin page": _("looked at the admin page"),
    "admin list": _("saw it in a list of the administration"),
    "edited": _("corrected"),
    "hidden": _("deleted (hidden)"),
    "restored": _("restored"),
    "purged": _("purged for good"),
    "reviewed": _("stated an own reading"),
    "case-shared": _("shared as a case on the board"),
    "case-withdrawn": _("withdrew a shared picture"),
    "exported": _("exported"),
    "access-searched": _("asked who saw a patient"),
    "model-activated": _("activated or replaced the model"),
    "role-changed": _("changed roles"),
    "approved": _("approved the account"),
    "rejected": _("rejected the account"),
    "suspended": _("suspended the account"),
    "reinstated": _("reinstated the account"),
    "approval-changed": _("changed the approval"),
}


def name_of(what: str) -> str:
    """Returns the event in the reader's language; an unknown one as it is stored."""
    return str(EVENTS.get(what, what))
