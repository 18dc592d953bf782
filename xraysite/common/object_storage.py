"""Private storage in a bucket of an object store that speaks the S3 API.

Nothing in it has an address: files leave the site through its views only, which check permissions
and record. Errors of the object store become the `OSError` that a disk would give, so that the rest
of the site treats both alike.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NoReturn

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.core.files import File
from django.core.files.base import ContentFile
from storages.backends.s3 import S3Storage

CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ATTEMPTS = 2, 15, 2

_ERRNO = {
    "403": errno.EACCES,
    "AccessDenied": errno.EACCES,
    "InvalidAccessKeyId": errno.EACCES,
    "SignatureDoesNotMatch": errno.EACCES,
    "AllAccessDisabled": errno.EACCES,
    "QuotaExceeded": errno.EDQUOT,
    "XMinioStorageFull": errno.ENOSPC,
    "507": errno.ENOSPC,
}
_MISSING = {"404", "NoSuchKey"}


@contextmanager
def disk_errors(name: str) -> Iterator[None]:
    """Raise the errors of an object store as those of a disk.

    Raises:
        FileNotFoundError: the object does not exist. A bucket that does not exist is unreachable.
        OSError: with the number of the error that a disk would give; `EHOSTUNREACH` if the object
            store cannot be reached or answers with an error of its own.
    """
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name) from error
        number = _ERRNO.get(code, errno.EHOSTUNREACH)
        raise OSError(number, f"The object store refused: {code or error}", name) from error
    except (BotoCoreError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        text = f"The object store cannot be used: {type(error).__name__}"
        raise OSError(errno.EHOSTUNREACH, text, name) from error


def _config(options: dict[str, Any]) -> Config:
    """Return how requests are made: a page must not wait for minutes.

    Other servers than AWS often know buckets by their path only.
    """
    style = "path" if options.get("endpoint_url") else "auto"
    return Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        signature_version="s3v4",
        s3={"addressing_style": style},
    )


class PrivateObjectStorage(S3Storage):
    """Files of a bucket, read and written completely, without addresses."""

    def __init__(self, **options: Any) -> None:
        # A single request for each file: an upload that breaks off leaves nothing behind.
        fixed: dict[str, Any] = {"file_overwrite": True, "default_acl": None, "gzip": False}
        super().__init__(**options | fixed | {"client_config": _config(options)})

    def url(self, name: str, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise `ValueError`: a link would bypass permissions and the access record."""
        raise ValueError("Stored files have no address. Serve them through a view.")

    def _key(self, name: str) -> str:
        return str(self._normalize_name(str(name)))

    def _open(self, name: str, mode: str = "rb") -> File:
        if mode != "rb":
            raise ValueError(f"Objects are opened to be read. Received mode: {mode!r}.")
        with disk_errors(name):
            answer = self.bucket.Object(self._key(name)).get()
            return ContentFile(answer["Body"].read(), name=name)

    def _save(self, name: str, content: File) -> str:
        content.seek(0)
        body = content.read()
        with disk_errors(name):
            self.bucket.Object(self._key(name)).put(
                Body=body if isinstance(body, bytes) else body.encode(),
                ContentType=self.default_content_type,
            )
        return name

    def delete(self, name: str) -> None:
        """Delete the object; one that does not exist is skipped."""
        with disk_errors(name):
            self.bucket.Object(self._key(name)).delete()

    def exists(self, name: str) -> bool:
        """Return whether an object, or a folder with objects, has this name."""
        try:
            with disk_errors(name):
                self.bucket.Object(self._key(name)).load()
        except FileNotFoundError:
            with disk_errors(name):
                return any(True for _ in self._below(name).limit(1))
        return True

    def size(self, name: str) -> int:
        """Return the size in bytes."""
        with disk_errors(name):
            return int(self.bucket.Object(self._key(name)).content_length)

    def get_modified_time(self, name: str) -> datetime:
        """Return when the object was written, by the clock of the object store."""
        with disk_errors(name):
            written: datetime = self.bucket.Object(self._key(name)).last_modified
            return written

    def listdir(self, path: str) -> tuple[list[str], list[str]]:
        """Return the names of folders and files in a folder."""
        folders: set[str] = set()
        files: list[str] = []
        with disk_errors(path):
            prefix = self._prefix(path)
            for entry in self._below(path):
                first, slash, _rest = entry.key.removeprefix(prefix).partition("/")
                folders.add(first) if slash else files.append(first)
        return sorted(folders), files

    def _below(self, folder: str) -> Any:
        return self.bucket.objects.filter(Prefix=self._prefix(folder))

    def _prefix(self, folder: str) -> str:
        """Return what the keys in a folder start with; "" is the root of the storage."""
        return self._key(folder).rstrip("/") + "/"
