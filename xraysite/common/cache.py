"""The cache in the database, without Django's silence about errors."""

from contextlib import ExitStack
from typing import Any

from django.core.cache.backends.db import DatabaseCache
from django.db import DatabaseError, IntegrityError, connections, router, transaction


class StrictDatabaseCache(DatabaseCache):
    """Django's cache in the database, which raises an error if a value cannot be stored.

    Django ignores the error. A rate limit then takes a full disk or a locked database for too many
    attempts, because it cannot get its lock.
    """

    def _base_set(self, mode: str, key: str, value: Any, timeout: Any = None) -> bool:
        alias = router.db_for_write(self.cache_model_class)
        errors: list[DatabaseError] = []

        def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            try:
                return execute(sql, params, many, context)
            except IntegrityError:  # another process stored the same key
                raise
            except DatabaseError as error:
                errors.append(error)
                raise

        with ExitStack() as stack:
            # Django's own transaction becomes a savepoint of this one, whose commit may fail too.
            stack.enter_context(transaction.atomic(using=alias))
            stack.enter_context(connections[alias].execute_wrapper(note))
            stored: bool = super()._base_set(mode, key, value, timeout)  # type: ignore[misc]
            if errors:
                raise errors[0]
        return stored
