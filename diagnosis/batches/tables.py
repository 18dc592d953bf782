"""CSV files that state whose X-rays the files beside them are."""

import csv
import datetime
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from diagnosis.batches.names import clean_path, folder_of, key_of
from diagnosis.forms.readings import BatchItemForm
from diagnosis.models import Sex
from diagnosis.models.discrepancies import LABELS
from diagnosis.services.patients import DATES
from xraysite.common.csv_import import cell_text, decoded, heading_key, lines_of

MAX_BYTES = 2 * 2**20
MAX_LINES = 5000
FILE = "file"
# By column, the field of the form; and further headings, without spaces and in lower case.
COLUMNS = {
    FILE: FILE,
    "name": "patient_name",
    "number": "patient_number",
    "age": "patient_age_years",
    "birth_date": "patient_birth_date",
    "sex": "patient_sex",
    "exam_date": "exam_date",
}
HEADINGS = {
    FILE: ("filename", "file_name", "path", "檔案", "檔名", "檔案名稱", "影像檔"),
    "name": ("patient_name", "patientname", "姓名", "病人姓名", "病患姓名"),
    "number": ("patient_number", "patient_id", "id", "病歷號", "病歷號碼", "病歷號數"),
    "age": ("age_years", "patient_age", "年齡", "歲數", "年齡(歲)"),
    "birth_date": ("birthdate", "birthday", "dob", "出生日期", "生日", "出生年月日"),
    "sex": ("gender", "性別"),
    "exam_date": ("examdate", "study_date", "date", "檢查日期", "檢查日", "拍攝日期"),
}
SEXES = {
    "m": Sex.MALE, "male": Sex.MALE, "男": Sex.MALE, "男性": Sex.MALE,
    "f": Sex.FEMALE, "female": Sex.FEMALE, "女": Sex.FEMALE, "女性": Sex.FEMALE,
}  # fmt: skip
# 2026-01-05, 2026/1/5, 20260105; of the Republic: 115/1/5, 1150105, 民國115年1月5日.
_DATE = re.compile(r"(?:民國)?(\d{3,4}|(?<=民國)\d{2})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")
_DIGITS = re.compile(r"(\d{3,4})(\d{2})(\d{2})")
REPUBLIC = 1911


@dataclass
class Table:
    """What a CSV file states.

    Attributes:
        rows: by `key_of` the file's path, what is stated, as text by field of the form.
        problems: what is wrong with its lines, as sentences in the active language.
    """

    rows: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def is_table(name: str) -> bool:
    """Return whether a file of this name is taken for a CSV file."""
    return name.lower().endswith((".csv", ".tsv"))


def read_table(data: bytes, path: str) -> Table:
    """Return what a CSV file states. Lines with a mistake are left out and reported.

    Args:
        data: the file: UTF-8, UTF-16 with a byte order mark, or Big5; separated by commas,
            semicolons or tabs.
        path: its name with folders. The names in it are relative to its folder.
    """
    table = Table()
    text = decoded(data)
    if text is None or len(data) > MAX_BYTES:
        table.problems.append(
            _("The CSV file cannot be read. Save it as “CSV UTF-8” with at most 2 MB.")
        )
        return table
    lines = lines_of(text)
    head = next(lines, [])
    columns = [_column(heading) for heading in head]
    if FILE not in columns:
        table.problems.append(
            _("The CSV file needs a column “file”. Its first line has: %(columns)s.")
            % {"columns": ", ".join(head)[:200] or "–"}
        )
        return table
    seen: dict[str, int] = {}
    for number, cells in _numbered(lines, table):
        _add_line(table, seen, folder_of(path), number, _stated(columns, cells))
    return table


def _numbered(lines: Iterator[list[str]], table: Table) -> Iterator[tuple[int, list[str]]]:
    """Yield the lines that are not empty, with their numbers in the file."""
    number = 1
    while number <= MAX_LINES:
        number += 1
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error:
            table.problems.append(_("Line %(line)d cannot be read.") % {"line": number})
            continue
        if any(cell.strip() for cell in cells):
            yield number, cells
    table.problems.append(_("Only the first %(count)d lines were read.") % {"count": MAX_LINES})


def _add_line(
    table: Table, seen: dict[str, int], folder: str, number: int, stated: dict[str, str]
) -> None:
    name = stated.pop(FILE, "")
    key = key_of(f"{folder}/{name}" if folder else name)
    if not name:
        problem = _("no file is named")
    elif key in seen:
        table.rows.pop(key, None)  # nobody can tell which of them is right
        problem = _("the file is also in line %(line)d; neither is used") % {"line": seen[key]}
    else:
        seen[key] = number
        problem = _mistake(stated)
        if not problem:
            table.rows[key] = stated
            return
    label = f"{number} ({clean_path(name)})" if name else str(number)
    table.problems.append(
        _("Line %(line)s: %(problem)s.") % {"line": label, "problem": problem.rstrip(".。")}
    )


def _mistake(stated: dict[str, str]) -> str:
    """Return what is wrong with the values that are stated, "" if nothing is."""
    form = BatchItemForm(stated, stated={})
    form.is_valid()
    found = []
    for name, errors in form.errors.as_data().items():
        wrong = [error for error in errors if error.code != "required"]
        if wrong or stated.get(name):
            texts = " ".join(text for error in (wrong or errors) for text in _texts(error))
            found.append(
                _("%(field)s: %(error)s") % {"field": LABELS.get(name, name), "error": texts}
            )
    return " ".join(found)


def _texts(error: ValidationError) -> list[str]:
    return [str(message) for message in error.messages]


def _column(heading: str) -> str:
    name = heading_key(heading)
    for column, others in HEADINGS.items():
        if name == column or name in others:
            return column
    return ""


def _stated(columns: list[str], cells: list[str]) -> dict[str, str]:
    """Return the cells that are not empty, by field of the form."""
    stated = {}
    for column, cell in zip(columns, cells, strict=False):
        text = cell_text(cell)
        if column and text:
            stated[COLUMNS[column]] = _value(COLUMNS[column], text)
    return stated


def _value(name: str, text: str) -> str:
    if name == "patient_sex":
        return SEXES.get(unicodedata.normalize("NFKC", text).lower(), text)
    return _date(text) if name in DATES else text


def _date(text: str) -> str:
    """Return a date as 2026-01-31; other text unchanged, so that the form refuses it."""
    plain = re.sub(r"\s", "", unicodedata.normalize("NFKC", text))
    found = _DATE.fullmatch(plain) or _DIGITS.fullmatch(plain)
    if found is None:
        return text
    year, month, day = (int(part) for part in found.groups())
    try:
        return datetime.date(year + (REPUBLIC if year < 1000 else 0), month, day).isoformat()
    except ValueError:
        return text
