"""CSV files that people upload, whatever program wrote them."""

import csv
import io
import unicodedata
from collections.abc import Iterator


def decoded(data: bytes) -> str | None:
    """Return the text of a file: UTF-8, UTF-16 with a byte order mark, or Big5; None otherwise."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        encodings = ["utf-8-sig", "cp950"]
    for encoding in encodings:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def lines_of(text: str) -> "Iterator[list[str]]":
    """Return a reader of the lines, separated by commas, semicolons or tabs."""
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    return csv.reader(io.StringIO(text.replace("\0", "")), delimiter=delimiter)


def heading_key(heading: str) -> str:
    """Return what a heading is compared by: lower case, without differences of width."""
    return unicodedata.normalize("NFKC", heading).strip().lower().replace(" ", "_")


def cell_text(cell: str) -> str:
    """Return a cell without what `csv_export.safe_cell` adds to keep it from being a formula."""
    return cell.strip().removeprefix("'").strip()
