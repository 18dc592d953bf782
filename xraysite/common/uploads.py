"""Upload handlers: the size limit, enforced while data arrives, and temporary files."""

import logging
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import (
    FileUploadHandler,
    SkipFile,
    StopUpload,
    TemporaryFileUploadHandler,
)

from xraysite.common.faults import Fault, fault_of

logger = logging.getLogger(__name__)

TOO_LARGE_KEY = "xraysite.film_too_large"
FAULT_KEY = "xraysite.upload_fault"
# A somewhat larger upload is read and discarded, so that the form can show an error. A request
# larger than this many times the limit is not read at all.
READ_FACTOR = 4


class _MetaKept(FileUploadHandler):
    """Keeps the request's META, in which a handler notes what became of a file."""

    def handle_raw_input(
        self,
        input_data: Any,
        META: dict[str, Any],  # noqa: N803 - Django's name
        content_length: int,
        boundary: str,
        encoding: str | None = None,
    ) -> None:
        self.meta, self.announced = META, content_length


class LimitedUploadHandler(_MetaKept):
    """Discards files above the limit and sets `TOO_LARGE_KEY` in the request's META."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.received = 0
        self.limit = self._limit_of(str(self.file_name))
        self.hopeless = self.announced > settings.FILM_MAX_BYTES * READ_FACTOR

    def _limit_of(self, name: str) -> int:
        """Return the limit for a file: the view's own (`upload_limit`), or that of X-rays."""
        match = getattr(self.request, "resolver_match", None)
        view = match and match.func
        own = getattr(getattr(view, "view_class", view), "upload_limit", None)
        return int(own(name)) if own is not None else int(settings.FILM_MAX_BYTES)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self.received += len(raw_data)
        if self.hopeless or self.received > self.limit:
            self.meta[TOO_LARGE_KEY] = True
            raise StopUpload(connection_reset=True) if self.hopeless else SkipFile
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None


class TemporaryUploadHandler(_MetaKept, TemporaryFileUploadHandler):
    """Keeps uploads in temporary files; notes in the request's META if they cannot be written.

    The form then says so, and keeps what was typed, instead of a page that only reports the error.
    """

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().new_file(*args, **kwargs)
        except OSError as error:
            self._give_up(error)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        try:
            super().receive_data_chunk(raw_data, start)
        except OSError as error:
            self._give_up(error)

    def file_complete(self, file_size: int) -> Any:
        try:
            return super().file_complete(file_size)
        except OSError as error:
            self._give_up(error, skip=False)
            return None

    def _give_up(self, error: OSError, *, skip: bool = True) -> None:
        fault = fault_of(error)
        if fault is None:
            raise error
        logger.error("%s: an upload cannot be written: %s", fault.code, error)
        self.meta[FAULT_KEY] = fault
        file = self.__dict__.pop("file", None)
        if file is not None:
            with suppress(OSError):  # what is still buffered cannot be written either
                file.close()
        if skip:
            raise SkipFile


def upload_fault(meta: dict[str, Any] | None) -> Fault | None:
    """Return why the request's upload could not be written; None if it was."""
    return (meta or {}).get(FAULT_KEY)
