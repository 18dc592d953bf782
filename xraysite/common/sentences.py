"""Stored English sentences in the reader's language.

Tasks and checks of readiness run without a reader and state their reasons in English: in the queue,
in logs and in `/readyz`. The admin shows them in the language of whoever looks.
"""

import re
from functools import cache

from django.utils.translation import gettext, gettext_noop

# The more specific ones first. `why` is what another program said, and stays as it is; `reason` is
# itself one of these sentences.
SENTENCES = (
    gettext_noop("%(reason)s It was tried %(n)s times."),
    gettext_noop("%(reason)s It may have arrived, so it is not sent again by itself."),
    gettext_noop("The worker died while it sent the email."),
    gettext_noop(
        "It waited in a backup that was restored, and may have been sent since the backup."
    ),
    gettext_noop("The mail server cannot be used: %(why)s"),
    gettext_noop("The mail server refused the recipient: %(why)s"),
    gettext_noop("The mail server refused the email: %(why)s"),
    gettext_noop("The mail server refused: %(why)s"),
    gettext_noop("The connection broke: %(why)s"),
    gettext_noop("It cannot be read for now."),
    gettext_noop("%(folder)s: %(free)s bytes are free, less than %(limit)s."),
    gettext_noop("%(folder)s: the disk has no room for another file (inodes)."),
    gettext_noop("No decoder can be started: %(why)s"),
    gettext_noop("A task has been waiting for %(n)s minutes. Workers alive: %(workers)s."),
    gettext_noop("It is %(now)s UTC, before %(moment)s UTC."),
    gettext_noop("The head of the audit log was altered or removed."),
    gettext_noop(
        "The log does not contain row %(n)s, which %(file)s names (written %(when)s): rows were "
        "removed or replaced, or an older copy of the database was restored. Run manage.py "
        "verify_audit."
    ),
    gettext_noop("A file read back differs from what was written."),
    gettext_noop("No model is active."),
    gettext_noop("No listener (manage.py dicom_listen) says that it runs."),
    gettext_noop("%(file)s of %(name)s was altered."),
    gettext_noop("%(file)s is missing."),
    gettext_noop("%(file)s cannot be read: %(why)s"),
    gettext_noop("%(file)s is damaged: %(why)s"),
)


def translated(sentence: str) -> str:
    """Return a sentence of `SENTENCES` in the active language; any other one as it is."""
    for template, pattern in _patterns():
        if (found := pattern.fullmatch(sentence)) is not None:
            values = found.groupdict()
            if "reason" in values:
                values["reason"] = translated(values["reason"])
            return gettext(template) % values
    return sentence


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    found = []
    for template in SENTENCES:
        pattern = re.sub(r"%\\?\((\w+)\\?\)s", r"(?P<\1>.+)", re.escape(template))
        found.append((template, re.compile(pattern, re.DOTALL)))
    return tuple(found)
