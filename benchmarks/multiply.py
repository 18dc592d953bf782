"""Fill the tables of readings and of the audit log with millions of rows, by SQL.

A few thousand rows are made by the site's own code; the rest are copies of them with other ids,
times and numbers. The seals of copied audit rows are not valid, so `verify_audit` must not be run.
"""

# ruff: noqa: S608 - the names of tables and columns are the models'
from typing import Any

ORDERED_SQLITE = (
    "strftime('%Y-%m-%d %H:%M:%f', {column}, '+' || ({seconds}) || ' seconds') || '000'"
)
ORDERED_POSTGRES = "{column} + ({seconds}) * interval '1 second'"


def _is_sqlite() -> bool:
    from django.db import connection

    return connection.vendor == "sqlite"


def _later(column: str, seconds: str) -> str:
    text = ORDERED_SQLITE if _is_sqlite() else ORDERED_POSTGRES
    return text.format(column=column, seconds=seconds)


def _insert(model: Any, other: dict[str, str], *, source: str, ignore: str = "") -> None:
    """Insert copies of `model`'s rows.

    Args:
        other: SQL of the columns that differ; `k` is the number of the copy.
        source: the rows and the numbers, after FROM.
        ignore: what follows the statement on PostgreSQL, such as ON CONFLICT.
    """
    from django.db import connection

    fields = model._meta.local_concrete_fields
    columns = [field.column for field in fields if not field.generated]
    if "id" not in other:
        columns.remove("id")
    quoted = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(other.get(name, f'base."{name}"') for name in columns)
    word = "INSERT OR IGNORE" if ignore and _is_sqlite() else "INSERT"
    end = "" if _is_sqlite() else ignore
    with connection.cursor() as cursor:
        cursor.execute(
            f"{word} INTO {model._meta.db_table} ({quoted}) SELECT {values} FROM {source} {end}"
        )


def _numbers(first: int, last: int) -> str:
    """SQL of a table with a column `k` of the numbers from `first` to `last`."""
    return (
        f"(WITH RECURSIVE numbers(k) AS (SELECT {first} UNION ALL SELECT k + 1 FROM numbers "
        f"WHERE k < {last}) SELECT k FROM numbers) AS copies"
    )


def without_indexes(model: Any, run: Any) -> None:
    """Call `run` with the table's indexes removed; creating them afterwards is much faster."""
    from django.db import connection

    with connection.schema_editor() as editor:
        for index in model._meta.indexes:
            editor.remove_index(model, index)
    run()
    with connection.schema_editor() as editor:
        for index in model._meta.indexes:
            editor.add_index(model, index)


def readings(copies: int, *, apart_s: float) -> None:
    """Copy each reading `copies` times, each `apart_s` seconds later than the one before."""
    from diagnosis.models import Reading

    count = Reading.objects.count()
    sqlite = _is_sqlite()
    digits = "printf('%%07d', {})" if sqlite else "lpad(({})::text, 7, '0')"
    number = digits.format(f"CAST(substr(base.patient_number, 2) AS integer) + k * {count}")
    other = {
        "id": "lower(hex(randomblob(16)))" if sqlite else "gen_random_uuid()",
        "created_at": _later("base.created_at", f"k * {apart_s}"),
        "waiting_since": _later("base.waiting_since", f"k * {apart_s}"),
        "patient_number": f"'P' || {number}",
        "patient_number_key": f"'p' || {number}",
        "film_sha256": "lower(hex(randomblob(32)))" if sqlite
        else "md5(random()::text) || md5(random()::text)",
    }  # fmt: skip
    if copies:
        source = f"{Reading._meta.db_table} AS base CROSS JOIN {_numbers(1, copies)}"
        without_indexes(Reading, lambda: _insert(Reading, other, source=source))


def _number_the_readings() -> int:
    """Create a temporary table with the id of each reading as text; return their number."""
    from django.db import connection

    from diagnosis.models import Reading

    text = "id::text"
    if _is_sqlite():
        parts = ((1, 8), (9, 4), (13, 4), (17, 4), (21, 12))
        text = " || '-' || ".join(f"substr(id, {start}, {size})" for start, size in parts)
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TEMPORARY TABLE reading_keys AS SELECT row_number() OVER () AS n, "
            f"{text} AS key FROM {Reading._meta.db_table}"
        )
        cursor.execute("CREATE UNIQUE INDEX reading_keys_n ON reading_keys (n)")
    return Reading.objects.count()


def _random(upto: int) -> str:
    """SQL of a random number from 1 to `upto`."""
    if _is_sqlite():
        return f"(1 + abs(random()) %% {upto})"
    return f"(1 + floor(random() * {upto})::bigint)"


def entries(copies: int, *, apart_s: float, listed: int) -> None:
    """Copy each row of the audit log `copies` times, about readings drawn at random.

    Args:
        apart_s: seconds between copies of a row. Rows are in chronological order only if the
            original rows span no more.
        listed: readings that a copied row about a list showed.
    """
    from django.db import connection

    from accounts.models import AuditEntry, AuditMention

    if not copies:
        return
    rows, upto = AuditEntry._default_manager.count(), _number_the_readings()
    last = AuditEntry._default_manager.order_by("-pk").values_list("pk", flat=True)[0]
    key = f"(SELECT key FROM reading_keys WHERE n = {_random(upto)} AND k > 0)"
    other = {
        "timestamp": _later("base.timestamp", f"k * {apart_s}"),
        "sequence": f"base.sequence + k * {rows}",
        "object_pk": f"CASE WHEN base.object_pk = '' THEN '' ELSE {key} END",
    }
    source = f"{_numbers(1, copies)} CROSS JOIN {AuditEntry._meta.db_table} AS base"
    order = " ORDER BY k, base.sequence"
    without_indexes(AuditEntry, lambda: _insert(AuditEntry, other, source=source + order))
    shown = f"(SELECT key FROM reading_keys WHERE n = {_random(upto)} AND k > 0)"
    mention = {"entry_id": "base.id", "object_pk": shown}
    source = (
        f"{AuditEntry._meta.db_table} AS base CROSS JOIN {_numbers(1, listed)} "
        f"WHERE base.what = 'list' AND base.id > {last}"
    )
    without_indexes(
        AuditMention,
        lambda: _insert(AuditMention, mention, source=source, ignore="ON CONFLICT DO NOTHING"),
    )
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE reading_keys")


def analyse() -> None:
    """Update PostgreSQL's statistics and visibility map, as its autovacuum does by itself."""
    from django.db import connection

    if not _is_sqlite():
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
