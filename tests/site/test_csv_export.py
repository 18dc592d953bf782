"""No spreadsheet evaluates a cell of an export as a formula, whatever separates its cells."""

import csv

import pytest

from xraysite.common.csv_export import csv_lines

STARTS = ("=", "+", "-", "@")
HOSTILE = [
    "=1+1", " =1+1", "\t=1+1", "'=1+1", '"=1+1', "a;=1+1", "a; +1", "a;\"=1", "a\t@SUM(A1)",
    "a\n=1+1", "a\r\n-1", "a;b;=1;-2", "a;;=1",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_no_cell_is_a_formula_in_any_spreadsheet(text, separator):
    lines = list(csv_lines(["head"], [[text, "last"]]))[1:]
    # As it is split by a program that knows quotes, and by one that does not.
    cells = [cell for row in csv.reader(lines, delimiter=separator) for cell in row]
    cells += [cell for line in "".join(lines).splitlines() for cell in line.split(separator)]
    for cell in cells:
        assert not cell.lstrip(' "\n').startswith(STARTS), cells


@pytest.mark.parametrize("text", ["a;b", "2026-03-02", "1+1=2", "a; b - c", "王小明"])
def test_other_text_is_unchanged(text):
    line = list(csv_lines(["head"], [[text]]))[1]
    assert next(csv.reader([line])) == [text]


def test_numbers_stay_numbers():
    assert list(csv_lines(["head"], [[-1.5, None]]))[1] == "-1.5,\r\n"
