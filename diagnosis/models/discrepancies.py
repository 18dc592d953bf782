"""What a doctor decided where file and form differ, as stored and as shown.

An entry of `Reading.discrepancies` is a JSON object:

- `field`: a patient field of `Reading`, `FILM` for the same X-ray under another patient, or
  `NUMBER` for the same patient number under another name;
- `file`: the header's value, or the patient of the earlier reading;
- `form`: the value in the form, or the patient in the form;
- `chosen`: a `Source`;
- `reason`: the doctor's reason, "" if the file is right;
- `at`: when it was decided, ISO 8601;
- `reading`: only for `FILM` and `NUMBER`, the id of the earlier reading.
"""

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from diagnosis.models.choices import Sex
from xraysite.common.dates import short_date

FILM = "film"
NUMBER = "number"


class Source(models.TextChoices):
    """Which side a doctor takes where file and form differ."""

    FILE = "file", _("The file is right")
    FORM = "form", _("The form is right")
    DISOWNED = "disowned", _("The file's header is wrong or belongs to somebody else")
    SAME = "same", _("The same patient, whose name is written differently")
    OTHER = "other", _("Another patient")


LABELS = {
    "patient_name": _("Patient's name"),
    "patient_number": _("Patient number"),
    "patient_sex": _("Sex"),
    "patient_birth_date": _("Date of birth"),
    "patient_age_years": _("Age"),
    "exam_date": _("Exam date"),
    FILM: _("Same X-ray under another patient"),
    NUMBER: _("Same patient number under another name"),
}


def shown_value(field: str, text: str) -> str:
    """Return a stored value in the active language: "3 years", "Female", a date."""
    if field == "patient_age_years":
        years = int(text)
        return ngettext("%(n)s year", "%(n)s years", years) % {"n": years}
    if field == "patient_sex":
        return str(dict(Sex.choices).get(text, text))
    if field in ("patient_birth_date", "exam_date"):
        return short_date(datetime.date.fromisoformat(text))
    return text


def shown(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry for display: `label`, `file`, `form`, `chosen`, `reason`, `at`."""
    field = entry["field"]
    chosen = (
        gettext("Saved under the second patient")
        if field == FILM
        else str(Source(entry["chosen"]).label)
    )
    return {
        "is_film": field == FILM,
        "is_number": field == NUMBER,
        "label": str(LABELS.get(field, field)),
        "file": shown_value(field, entry["file"]),
        "form": shown_value(field, entry["form"]),
        "chosen": chosen,
        "reason": entry["reason"],
        "at": timezone.localtime(datetime.datetime.fromisoformat(entry["at"])),
        "reading": entry.get("reading"),
    }


def marks(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return what the entries are about, in a few words."""
    fields = {entry["field"] for entry in entries}
    found = [gettext("differs from the file")] if fields - {FILM, NUMBER} else []
    found += [gettext("X-ray of two patients")] if FILM in fields else []
    return found + ([gettext("number of two names")] if NUMBER in fields else [])


def summary(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return entries as one line of text, for exports and logs: stored values, not translated."""
    return "; ".join(
        f"{entry['field']}: file {entry['file']!r}, form {entry['form']!r}, "
        f"chosen {entry['chosen']}" + (f", because {entry['reason']}" if entry["reason"] else "")
        for entry in entries
    )
