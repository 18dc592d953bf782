"""Reports as numbered PDF copies."""

import datetime
import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.utils import timezone, translation
from django.utils.translation import gettext

from accounts.audit.recording import record_access
from diagnosis.blind import withheld_from
from diagnosis.models import Reading, ReportIssue
from diagnosis.services.films import VIEWER_SIDE, FilmMissingError, film_rendering, heatmap
from diagnosis.services.report_content import report_content
from diagnosis.services.report_pdf import Pictures, render_report
from diagnosis.services.report_text import merged
from xraysite.common.dates import roc_years, short_datetime

if TYPE_CHECKING:
    from accounts.models import User

BOTH = "both"
LANGUAGES = {"en": ("en",), "zh-hant": ("zh-hant",), BOTH: ("zh-hant", "en")}


class WithheldError(Exception):
    """Raised when the model's result is still withheld from the user."""


@dataclass(frozen=True)
class Copy:
    """A copy that has been issued, and its file."""

    issue: ReportIssue
    pdf: bytes

    @property
    def name(self) -> str:
        """A file name that tells nothing about the patient."""
        return file_name(self.issue.reading)


def file_name(reading: Reading) -> str:
    """Return the name of a report's file: exam date and the start of the reading's id."""
    return f"report-{reading.exam_date:%Y%m%d}-{str(reading.pk)[:8]}.pdf"


def issue_report(
    *, reading: Reading, user: "User", language: str, with_map: bool, url: str, **request: Any
) -> Copy:
    """Make the next copy of a reading's report and record who received it.

    Args:
        reading: a reading that `user` may see, with `doctor` and `model_version`.
        user: who receives the copy.
        language: a key of `LANGUAGES`.
        with_map: whether the heatmap is asked for; a reading out of scope has none.
        url: the absolute URL of the record.
        request: `accounts.audit.recording.origin_of` the request, for the audit log.

    Raises:
        Reading.DoesNotExist: the reading has been purged in the meantime.
        WithheldError: the model's result comes after the doctor's own opinion.
        ReportError: the page cannot be set.
    """
    if withheld_from(reading, user):
        raise WithheldError
    with_map = with_map and not reading.is_out_of_scope
    pictures = _pictures(reading, with_map=with_map)
    contents = [_in_language(code, reading, with_map=with_map) for code in LANGUAGES[language]]
    with transaction.atomic():
        # Copies of the same reading wait for each other, so that each gets its own number.
        Reading.objects.visible_to(user).select_for_update(of=("self",)).get(pk=reading.pk)
        first = ReportIssue.objects.filter(reading=reading).order_by("number").first()
        last = ReportIssue.objects.filter(reading=reading).order_by("-number").first()
        issue = ReportIssue(
            reading=reading, issued_by=user, language=language, with_map=with_map,
            number=last.number + 1 if last else 1,
            issued_at=timezone.now().replace(microsecond=0),
        )  # fmt: skip
        pdf = rendered(
            contents, pictures, issue, first_issued=first.issued_at if first else None, url=url
        )
        issue.sha256 = hashlib.sha256(pdf).hexdigest()
        issue.save()
        detail = {"copy": issue.number, "sha256": issue.sha256}
        record_access(reading, what="report-issued", by=user, detail=detail, **request)
    return Copy(issue, pdf)


def unnumbered_report(
    *, reading: Reading, languages: Sequence[str], url: str, at: datetime.datetime
) -> bytes:
    """Return the PDF for other systems' records, which is no numbered copy.

    The same state of a reading gives the same bytes, so that sending it again changes nothing.

    Args:
        reading: the reading, with `doctor` and `model_version`.
        languages: codes of languages, in their order on the page.
        url: the absolute URL of the record.
        at: when the result was last changed.

    Raises:
        ReportError: the page cannot be set.
    """
    contents, zone = [], timezone.get_default_timezone()
    for code in languages:
        with translation.override(code), timezone.override(zone), roc_years(False):
            words = gettext("For the patient's record: state of %(when)s")
            content = asdict(report_content(reading, with_map=not reading.is_out_of_scope))
            contents.append(content | {"copy": [words % {"when": short_datetime(at)}]})
    pictures = _pictures(reading, with_map=not reading.is_out_of_scope)
    return render_report(merged(contents), pictures, url=url, issued_at=at)


def rendered(
    contents: Sequence[dict[str, Any]],
    pictures: Pictures,
    issue: ReportIssue,
    *,
    first_issued: datetime.datetime | None,
    url: str,
) -> bytes:
    """Return the PDF of a copy; the same arguments give the same bytes."""
    stated = []
    for content in contents:
        with translation.override(content["language"]):
            stated.append(content | {"copy": copy_lines(issue, first_issued)})
    return render_report(merged(stated), pictures, url=url, issued_at=issue.issued_at)


def copy_lines(issue: ReportIssue, first_issued: datetime.datetime | None) -> list[str]:
    """Return what a copy states about itself, in the active language."""
    values = {
        "number": issue.number,
        "when": short_datetime(issue.issued_at),
        "who": issue.issued_by.display_name,
    }
    if first_issued is None:
        return [gettext("Issued on %(when)s to %(who)s") % values]
    return [
        gettext("Reprint no. %(number)s, first issued on %(first)s")
        % (values | {"first": short_datetime(first_issued)}),
        gettext("Issued on %(when)s to %(who)s") % values,
    ]


def _in_language(code: str, reading: Reading, *, with_map: bool) -> dict[str, Any]:
    with translation.override(code):
        return asdict(report_content(reading, with_map=with_map))


def _pictures(reading: Reading, *, with_map: bool) -> Pictures:
    try:
        film = film_rendering(reading, max_side=VIEWER_SIDE)
    except FilmMissingError:
        film = None
    return Pictures(
        film=film,
        heatmap=heatmap(reading) if with_map and film is not None else None,
        width=reading.film_width,
        height=reading.film_height,
    )
