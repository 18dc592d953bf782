"""Text that is burned into images: where somebody looked, and what has to be blacked out.

No text is searched for: programs that do miss some. A film is exported if its device states that
nothing is burned in, or if a person says that they looked at it.
"""

import csv
import uuid
from collections import defaultdict
from pathlib import Path
from typing import Any

from mlcore.engine.films.redaction import Box

COLUMNS = ["reading", "left", "top", "width", "height"]
Boxes = dict[uuid.UUID, list[Box]]


class BoxesError(Exception):
    """Raised if a table of boxes cannot be used; the message names the line."""


def read_boxes(path: Path) -> Boxes:
    """Return the boxes to black out by reading, from a CSV table.

    A line is a reading's id and left, top, width and height as fractions of the film's size. A line
    with the id alone says that somebody looked at the film and there is nothing to black out.

    Raises:
        BoxesError: the table or a line is wrong.
    """
    found: Boxes = defaultdict(list)
    try:
        with path.open(newline="", encoding="utf-8-sig") as table:
            rows = csv.DictReader(table)
            if rows.fieldnames is None or list(rows.fieldnames) != COLUMNS:
                raise BoxesError(f"{path} needs the columns {','.join(COLUMNS)}.")
            for row in rows:
                _add(found, row, f"{path}, line {rows.line_num}")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BoxesError(f"{path} cannot be read: {error}") from error
    return dict(found)


def _add(found: Boxes, row: dict[str, Any], where: str) -> None:
    try:
        boxes = found[uuid.UUID(row["reading"])]
        numbers = [row[name] or "" for name in COLUMNS[1:]]
        if any(numbers):
            boxes.append(Box(*(float(number) for number in numbers)))
    except (ValueError, TypeError) as error:
        raise BoxesError(f"{where}: {error}") from error


def states_no_text(statement: str) -> bool:
    """Return whether a device states that nothing is burned in (0028,0301)."""
    return statement.strip().upper() == "NO"
