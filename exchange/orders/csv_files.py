"""CSV files with orders: each line is checked as the form would be; all are entered or none."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from accounts.models import User
from diagnosis.models import Sex
from exchange.orders import names
from exchange.orders.forms import RECIPIENT, OrderForm, recipients_by_key, time_of
from exchange.orders.models import Modality
from xraysite.common.csv_import import cell_text, decoded, heading_key, lines_of
from xraysite.common.dates import parsed_date

MAX_BYTES = 2**20
MAX_LINES = 500
# By column, in the order of the template; further headings, as `heading_key` returns them.
HEADINGS = {
    "number": ("patient_number", "patient_id", "病歷號", "病歷號碼", "病歷號數"),
    "name": ("patient_name", "姓名", "病人姓名", "病患姓名"),
    "name_latin": ("latin_name", "english_name", "英文姓名", "英文名", "拼音姓名"),
    "name_phonetic": ("phonetic_name", "注音姓名", "注音"),
    "birth_date": ("birthdate", "birthday", "dob", "出生日期", "生日", "出生年月日"),
    "sex": ("gender", "性別"),
    "procedure": ("requested_procedure", "檢查項目", "檢查名稱"),
    "body_part": ("bodypart", "部位", "檢查部位"),
    "modality": ("儀器類別", "儀器"),
    "date": ("scheduled_date", "檢查日期", "預約日期", "排程日期"),
    "time": ("scheduled_time", "檢查時間", "預約時間", "排程時間"),
    "station": ("station_ae_title", "ae_title", "儀器ae_title", "檢查儀器"),
    "referring_doctor": ("referring", "開單醫師", "轉介醫師", "轉診醫師"),
    "for": ("doctor", "team", "email", "判讀醫師", "團隊", "判讀醫師或團隊"),
    "accession_number": ("accession", "檢查單號", "檢查號", "醫令單號"),
}  # fmt: skip
FIELDS = {
    "number": "patient_number", "name": "name_ideographic", "date": "scheduled_date",
    "time": "scheduled_time", "station": "station_ae_title", "for": RECIPIENT,
}  # fmt: skip
SEXES = {
    "m": Sex.MALE, "male": Sex.MALE, "男": Sex.MALE, "男性": Sex.MALE,
    "f": Sex.FEMALE, "female": Sex.FEMALE, "女": Sex.FEMALE, "女性": Sex.FEMALE,
    "o": Sex.OTHER, "other": Sex.OTHER,
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """A line of a file.

    Attributes:
        number: its number in the file; the heading is line 1.
        form: the checked form.
        errors: what is wrong, as sentences in the active language.
    """

    number: int
    form: OrderForm
    errors: tuple[str, ...] = ()

    @property
    def doubts(self) -> list[str]:
        """What a person has to look at before the orders are entered."""
        return self.form.doubts

    @property
    def values(self) -> dict[str, Any]:
        """What is shown of it: the cleaned values, as typed where they are wrong."""
        cleaned = {key: value for key, value in self.form.cleaned_data.items() if value}
        typed = {key: self.form.data.get(key, "") for key in self.form.fields}
        shown = typed | cleaned
        groups = [shown["name_ideographic"], shown["name_latin"], shown["name_phonetic"]]
        return shown | {"names": [names.shown(group) for group in groups if group]}


@dataclass
class Sheet:
    """The lines of a file, and what is wrong with the file as a whole."""

    lines: list[Line] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @property
    def faulty(self) -> int:
        return sum(bool(line.errors) for line in self.lines)

    @property
    def doubtful(self) -> int:
        return sum(bool(line.doubts) for line in self.lines)

    @property
    def is_complete(self) -> bool:
        """Whether its orders may be entered."""
        return bool(self.lines) and not self.problems and not self.faulty


def text_of(data: bytes) -> str | None:
    """Return the text of an uploaded file; None if it is too large or no text."""
    return decoded(data) if len(data) <= MAX_BYTES else None


def unreadable() -> str:
    """Return the sentence about a file of which `text_of` returns None."""
    return _("The CSV file cannot be read. Save it as “CSV UTF-8” with at most 1 MB.")


def read_sheet(text: str, *, user: User) -> Sheet:
    """Check every line of a file; nothing is stored.

    Args:
        text: its text.
        user: who enters the orders. Lines that name no doctor or team are for the user, or the
            user's only team.
    """
    sheet = Sheet()
    rows = lines_of(text)
    head = next(rows, [])
    columns = [_column(heading) for heading in head]
    missing = [name for name in ("number", "date", "time") if name not in columns]
    if missing:
        sheet.problems.append(
            _("The first line has to name the columns. Missing: %(columns)s.")
            % {"columns": ", ".join(missing)}
        )
        return sheet
    recipients = recipients_by_key(user)
    seen: dict[str, int] = {}
    for number, cells in _numbered(rows, sheet):
        stated = _stated(columns, cells)
        form = OrderForm(user=user, recipients=recipients, asks=False)
        form = OrderForm(_data(stated, form), user=user, recipients=recipients, asks=False)
        sheet.lines.append(_checked(number, form, seen, stated))
    if not sheet.lines and not sheet.problems:
        sheet.problems.append(_("The file has no lines with orders."))
    return sheet


def _numbered(rows: Iterator[list[str]], sheet: Sheet) -> Iterator[tuple[int, list[str]]]:
    number = 1
    while True:
        number += 1
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error:
            sheet.problems.append(_("Line %(line)d cannot be read.") % {"line": number})
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if len(sheet.lines) >= MAX_LINES:
            sheet.problems.append(
                _("A file may have %(count)d orders. Split it.") % {"count": MAX_LINES}
            )
            return
        yield number, cells


def _column(heading: str) -> str:
    key = heading_key(heading)
    for column, others in HEADINGS.items():
        if key == column or key in others:
            return column
    return ""


def _stated(columns: list[str], cells: list[str]) -> dict[str, str]:
    pairs = zip(columns, cells, strict=False)
    return {column: text for column, cell in pairs if column and (text := cell_text(cell))}


def _data(stated: dict[str, str], empty: OrderForm) -> dict[str, Any]:
    """Return the data of the form; what a line does not state is as in an empty form."""
    defaults = ("procedure", "body_part", "modality", RECIPIENT)
    data: dict[str, Any] = {name: empty.get_initial_for_field(empty.fields[name], name)
                            for name in defaults}  # fmt: skip
    for column, text in stated.items():
        data[FIELDS.get(column, column)] = _value(column, text, empty)
    if not names.is_ideographic(data.get("name_ideographic", "")):  # a column "name" for either
        name = data.pop("name_ideographic", "")
        data["name_latin"] = data.get("name_latin") or name
    return data


def _value(column: str, text: str, empty: OrderForm) -> str:
    if column == "sex":
        return SEXES.get(heading_key(text), text)
    if column in ("date", "birth_date"):
        day = parsed_date(text)
        return day.isoformat() if day else text
    if column == "time":
        return time_of(text)
    if column == "modality":
        return text.upper() if text.upper() in Modality.values else text
    if column == "for":
        field: Any = empty.fields[RECIPIENT]
        return field.named(text) or text
    return text


def _checked(number: int, form: OrderForm, seen: dict[str, int], stated: dict[str, str]) -> Line:
    form.is_valid()
    errors = [
        _("%(field)s: %(error)s") % {"field": form.fields[name].label, "error": text}
        for name, found in form.errors.as_data().items()
        for error in found
        for text in _texts(error, name)
    ]
    accession = form.cleaned_data.get("accession_number") or ""
    if accession in seen and accession:
        text = _("The accession number is also in line %(line)d.") % {"line": seen[accession]}
        errors.append(text)
    seen.setdefault(accession, number)
    return Line(number, form, tuple(errors))


def _texts(error: ValidationError, name: str) -> list[str]:
    if name == RECIPIENT and error.code == "invalid_choice":
        return [_("No doctor with this email address and no team of this name.")]
    return [str(message) for message in error.messages]
