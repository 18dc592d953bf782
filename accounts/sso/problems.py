"""What went wrong at a sign-in with the provider, in plain words with what to do next."""

import logging

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.audit.recording import record_event
from accounts.models import User
from accounts.sso import config

logger = logging.getLogger(__name__)

# By code: what happened, and what to do.
PROBLEMS: dict[str, tuple[str | Promise, str | Promise]] = {
    "unreachable": (
        _("The sign-in service of %(hospital)s does not respond."),
        _("Try again in a few minutes. If it still fails, tell the IT department of your "
          "hospital."),
    ),
    "clock": (
        _("The answer of %(hospital)s has expired or is not valid yet."),
        _("Try again. If it happens every time, the clock of one of the two servers is wrong: tell "
          "the IT department of your hospital."),
    ),
    "signature": (
        _("The answer of %(hospital)s is not signed with the key that this site expects."),
        _("You have not been signed in. Tell the IT department of your hospital: the provider may "
          "have a new certificate."),
    ),
    "audience": (
        _("The answer of %(hospital)s is meant for another site."),
        _("You have not been signed in. Tell the IT department of your hospital: the identifiers "
          "in the settings of both sides must be the same."),
    ),
    "used": (
        _("This sign-in was already used, took longer than ten minutes, or was started in another "
          "browser."),
        _("Go back to the sign-in page and start again."),
    ),
    "unsolicited": (
        _("This site did not ask for this sign-in, or your browser blocked a cookie."),
        _("Start on the sign-in page of this site rather than in the portal of %(hospital)s."),
    ),
    "cancelled": (
        _("You cancelled the sign-in at %(hospital)s."),
        _("Go back to the sign-in page to try again or to use your password."),
    ),
    "refused": (
        _("%(hospital)s refused the sign-in."),
        _("Ask the IT department of your hospital whether you may use this site."),
    ),
    "no-email": (
        _("%(hospital)s did not send your email address."),
        _("Ask the IT department of your hospital to send it to this site."),
    ),
    "no-identifier": (
        _("%(hospital)s did not send a permanent identifier for you."),
        _("Ask the IT department of your hospital to send one to this site."),
    ),
    "unverified": (
        _("%(hospital)s does not confirm that the email address is yours."),
        _("If you have an account here, sign in with your password, and ask a supervisor to "
          "connect your account."),
    ),
    "no-group": (
        _("Your account at %(hospital)s is in none of the groups that may use this site."),
        _("Ask the IT department of your hospital to add you to a group."),
    ),
    "not-connected": (
        _("There is already an account with your email address, which has no password."),
        _("Ask a supervisor to connect it to your account at %(hospital)s."),
    ),
    "invalid": (
        _("This site could not understand the answer of %(hospital)s."),
        _("Try again. If it happens every time, tell the IT department of your hospital."),
    ),
}  # fmt: skip
STATUS = {"unreachable": 503, "refused": 403, "no-group": 403}
# By what python3-saml writes in its reasons.
SAML_REASONS = (
    ("timing", "clock"),
    ("timestamp", "clock"),
    ("expired", "clock"),
    ("not yet valid", "clock"),
    ("signature", "signature"),
    ("signed", "signature"),
    ("certificate", "signature"),
    ("audience", "audience"),
    ("issuer", "audience"),
    ("received at", "audience"),
    ("destination", "audience"),
    ("subjectconfirmation", "clock"),
)


def page(request: HttpRequest, code: str) -> HttpResponse:
    """Record and log the problem, without personal data, and show what to do."""
    provider = config.required()
    code = code if code in PROBLEMS else "invalid"
    logger.warning("Sign-in with the %s provider failed: %s.", provider.kind, code)
    record_event(
        User, what="sign-in-by-provider-failed", about=provider.name, detail={"reason": code}
    )
    name = {"hospital": config.name_of(provider)}
    what, next_step = (str(text) % name for text in PROBLEMS[code])
    context = {"what": what, "next_step": next_step}
    return render(request, "sso/problem.html", context, status=STATUS.get(code, 401))


def of_saml(reason: str) -> str:
    """Return the code for a reason of python3-saml, which is English text."""
    said = reason.lower()
    return next((code for words, code in SAML_REASONS if words in said), "invalid")
