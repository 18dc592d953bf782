"""The upload limit, enforced while the bytes come in rather than after the disk is full."""

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, SkipFile, StopUpload

TOO_LARGE_KEY = "xraysite.film_too_large"
# The rest of a somewhat larger upload is read and dropped, so that the doctor gets the form back
# with a message. A request past this many times the limit is not read at all.
READ_FACTOR = 4


class LimitedUploadHandler(FileUploadHandler):
    """Drops a file that passes the limit, and notes that in the request's META."""

    def handle_raw_input(
        self,
        input_data: Any,
        META: dict[str, Any],  # noqa: N803 - Django's name
        content_length: int,
        boundary: str,
        encoding: str | None = None,
    ) -> None:
        self.meta = META
        self.hopeless = content_length > settings.FILM_MAX_BYTES * READ_FACTOR

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.received = 0

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        self.received += len(raw_data)
        if self.hopeless or self.received > settings.FILM_MAX_BYTES:
            self.meta[TOO_LARGE_KEY] = True
            raise StopUpload(connection_reset=True) if self.hopeless else SkipFile
        return raw_data

    def file_complete(self, file_size: int) -> None:
        return None
