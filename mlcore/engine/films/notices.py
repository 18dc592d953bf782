"""Notices: what of a readable film could not be trusted, each in one sentence.

Each notice is worded only here. Commands print the sentences in English; the interface translates
them by passing them to gettext.
"""

from __future__ import annotations

from mlcore.engine.films.errors import gettext_noop

NOTICES: dict[str, str] = {
    "name_undecodable": gettext_noop(
        "The patient's name in the file cannot be decoded reliably, so it was left empty: its "
        "character set is missing or wrong."
    ),
    "patient_id_undecodable": gettext_noop(
        "The patient number in the file cannot be decoded reliably, so it was left empty."
    ),
    "exam_date_in_future": gettext_noop(
        "The exam date in the file is in the future, so it was left empty."
    ),
    "birth_date_implausible": gettext_noop(
        "The birth date in the file is after the exam or in the future, so it was left empty."
    ),
    "age_contradicts_birth_date": gettext_noop(
        "The age in the file contradicts its birth date, so it was left empty."
    ),
    "window_set_aside": gettext_noop(
        "The display window in the file would show the X-ray in hardly any grey levels, so it was "
        "set aside; the range of the image itself is shown."
    ),
}
