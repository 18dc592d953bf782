"""Tables as CSV files that a spreadsheet opens without surprises, row by row at any size."""

import csv
from collections.abc import Iterable, Iterator

from django.http import StreamingHttpResponse

BYTE_ORDER_MARK = "\ufeff"  # without it, Excel takes UTF-8 for the system's old encoding
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class _Echo:
    """Where the csv module writes: what it writes is handed back."""

    def write(self, text: str) -> str:
        return text


def safe_cell(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if isinstance(value, int | float) or value is None:
        return value
    text = str(value)
    # Behind spaces or quotes a formula still starts for some programs.
    return f"'{text}" if text.lstrip(" \"'\n").startswith(FORMULA_STARTS) else text


def csv_lines(head: Iterable[object], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield BYTE_ORDER_MARK + writer.writerow([str(cell) for cell in head])
    for row in rows:
        yield writer.writerow([safe_cell(cell) for cell in row])


def csv_response(
    filename: str, head: Iterable[object], rows: Iterable[Iterable[object]]
) -> StreamingHttpResponse:
    """Answer with a file to download, written while it is sent.

    Args:
        filename: ASCII letters, digits, points and hyphens.
    """
    response = StreamingHttpResponse(csv_lines(head, rows), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{filename}"'
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response
