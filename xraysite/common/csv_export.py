"""CSV downloads: streamed row by row and safe to open in a spreadsheet."""

import csv
import re
from collections.abc import Iterable, Iterator

from django.http import StreamingHttpResponse

BYTE_ORDER_MARK = "\ufeff"  # without it, Excel does not recognise UTF-8
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
# Where a program that separates cells by semicolons or tabs would see the start of another cell.
_OTHER_CELLS = re.compile(r"([;\t\r\n][ \"']*)(?=[=+\-@])")


class _Echo:
    """A file object for the csv module that returns what is written."""

    def write(self, text: str) -> str:
        return text


def safe_cell(value: object) -> object:
    """Return a cell that no spreadsheet evaluates as a formula; numbers stay numbers."""
    if isinstance(value, int | float) or value is None:
        return value
    text = _OTHER_CELLS.sub(r"\1'", str(value))
    # Some programs also evaluate formulas after spaces or quotes.
    return f"'{text}" if text.lstrip(" \"'\n").startswith(FORMULA_STARTS) else text


def csv_lines(head: Iterable[object], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield BYTE_ORDER_MARK + writer.writerow([str(cell) for cell in head])
    for row in rows:
        yield writer.writerow([safe_cell(cell) for cell in row])


def csv_response(
    filename: str, head: Iterable[object], rows: Iterable[Iterable[object]]
) -> StreamingHttpResponse:
    """Return a CSV download, generated while it is sent.

    Args:
        filename: ASCII letters, digits, dots and hyphens.
        head: the column headings.
        rows: the cells of each row.
    """
    response = StreamingHttpResponse(csv_lines(head, rows), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
