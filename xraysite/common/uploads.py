"""The upload size limit, enforced while data arrives."""

from typing import Any

from django.conf import settings
from django.core.files.uploadhandler import FileUploadHandler, SkipFile, StopUpload

TOO_LARGE_KEY = "xraysite.film_too_large"
# A somewhat larger upload is read and discarded, so that the form can show an error. A request
# larger than this many times the limit is not read at all.
READ_FACTOR = 4


class LimitedUploadHandler(FileUploadHandler):
    """Discards files above the limit and sets `TOO_LARGE_KEY` in the request's META."""

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
