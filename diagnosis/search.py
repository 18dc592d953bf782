"""Index-backed prefix search of patients' names and numbers, on every supported database."""

import unicodedata
from typing import Any

from django.db import models
from django.db.models.lookups import Lookup

LAST_CHARACTER = "\U0010ffff"
MAX_LENGTH = 255


def search_key(text: str) -> str:
    """Return the key that a text is searched by: `folded`, cut to the column's length."""
    return folded(text)[:MAX_LENGTH]


def folded(text: str) -> str:
    """Return `text` normalised to NFKC, case-folded, with runs of spaces reduced to one."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def number_key(number: str) -> str:
    """Return the key by which a patient number is the same, whatever its case, width and spaces."""
    return folded(number).replace(" ", "")[:MAX_LENGTH]


class SearchKeyField(models.CharField):
    """The search key of another field of the same row, computed on every save.

    Args:
        source: name of the field that the key is computed from.
    """

    def __init__(self, *args: Any, source: str, **kwargs: Any) -> None:
        self.source = source
        kwargs |= {"max_length": MAX_LENGTH, "editable": False, "default": ""}
        super().__init__(*args, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        for fixed in ("max_length", "editable", "default"):
            kwargs.pop(fixed, None)
        return name, path, args, kwargs | {"source": self.source}

    def pre_save(self, model_instance: models.Model, add: bool) -> str:
        key = self.key_of(getattr(model_instance, self.source))
        setattr(model_instance, self.attname, key)
        return key

    def key_of(self, text: str) -> str:
        """Return the key of a text."""
        return search_key(text)


class NumberKeyField(SearchKeyField):
    """The `number_key` of another field of the same row."""

    def key_of(self, text: str) -> str:
        return number_key(text)


@SearchKeyField.register_lookup
class Begins(Lookup):
    """The lookup `<field>__begins`: the key starts with the given key.

    SQLite compares bytes, so the prefix is written as a range. PostgreSQL compares by locale and
    needs a LIKE pattern, which the indexes' operator class supports.
    """

    lookup_name = "begins"

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, values = self.process_lhs(compiler, connection)
        bounds = (self.rhs, f"{self.rhs}{LAST_CHARACTER}")
        return f"({column} >= %s AND {column} < %s)", (*values, bounds[0], *values, bounds[1])

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, values = self.process_lhs(compiler, connection)
        pattern = connection.ops.prep_for_like_query(self.rhs)
        return f"{column} LIKE %s", (*values, f"{pattern}%")
