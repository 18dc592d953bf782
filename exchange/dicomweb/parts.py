"""Messages of several parts: multipart/related (RFC 2387), as DICOMweb sends and receives them."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from django.conf import settings
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.multipartparser import (
    ChunkIter,
    InputStreamExhausted,
    InterBoundaryIter,
    LazyStream,
    MultiPartParserError,
)
from django.utils.http import parse_header_parameters

from xraysite.common import private_files

CHUNK_BYTES = 64 * 2**10
# A part below this size stays in memory.
MEMORY_BYTES = 2**20
MAX_PARTS = 1000
MAX_HEADERS = 8 * 2**10
MAX_BOUNDARY = 200


class MalformedError(Exception):
    """Raised for a body that is not the multipart message that its headers announce."""


class TooManyPartsError(Exception):
    """Raised for a message with more than `MAX_PARTS` parts."""


@dataclass(frozen=True)
class Part:
    """A part to be sent: its media type, its content, and where to get it alone."""

    type: str
    content: bytes
    location: str = ""


@dataclass(frozen=True)
class ReceivedPart:
    """A part that was received.

    Attributes:
        type: its media type, without parameters, lower case; "" if it states none.
        file: its content, at its beginning; None if it is larger than allowed.
        size: its size in bytes.
    """

    type: str
    file: IO[bytes] | None
    size: int

    def close(self) -> None:
        """Delete the temporary file."""
        if self.file is not None:
            self.file.close()


def related(parts: Iterable[Part], type: str) -> StreamingHttpResponse:
    """Return a response of several parts, of which one at a time is made."""
    boundary = secrets.token_hex(16)

    def pieces() -> Iterator[bytes]:
        for part in parts:
            lines = [f"--{boundary}", f"Content-Type: {part.type}"]
            lines.append(f"Content-Length: {len(part.content)}")
            if part.location:
                lines.append(f"Content-Location: {part.location}")
            yield ("\r\n".join(lines) + "\r\n\r\n").encode()
            yield part.content
            yield b"\r\n"
        yield f"--{boundary}--\r\n".encode()

    media_type = f'multipart/related; type="{type}"; boundary={boundary}'
    return StreamingHttpResponse(pieces(), content_type=media_type)


def alone(part: Part) -> HttpResponse:
    """Return a response that is the content itself."""
    return HttpResponse(part.content, content_type=part.type)


def received(request: HttpRequest, *, max_bytes: int) -> Iterator[ReceivedPart]:
    """Yield the parts of a request, each kept in a temporary file until the next is asked for.

    A part is yielded once its end has been seen, so that one that was cut off never is.

    Args:
        request: its body has not been read.
        max_bytes: size of the largest part that is kept.

    Raises:
        MalformedError: the body ends early, or is no multipart message.
        TooManyPartsError: there are too many parts.
        OSError: a part cannot be written.
    """
    private_files.make_folder(settings.FILE_UPLOAD_TEMP_DIR)
    _type, params = parse_header_parameters(request.headers.get("Content-Type", ""))
    boundary = params.get("boundary", "")
    if not boundary or len(boundary) > MAX_BOUNDARY or not boundary.isascii():
        raise MalformedError
    body = LazyStream(ChunkIter(request, CHUNK_BYTES))
    streams = iter(InterBoundaryIter(body, b"--" + boundary.encode()))
    part: ReceivedPart | None = None
    try:
        _drain(next(streams, ()))  # what precedes the first boundary
        for count, stream in enumerate(streams):
            start = stream.read(2)
            if part is not None:
                yield part
                part.close()
            if start == b"--":
                return
            if count >= MAX_PARTS:
                raise TooManyPartsError
            part = _kept(stream, _media_type(stream, start), max_bytes)
    except (MultiPartParserError, InputStreamExhausted) as error:
        raise MalformedError from error
    finally:
        if part is not None:
            part.close()
    raise MalformedError


def _drain(stream: Iterable[bytes]) -> None:
    for _chunk in stream:
        pass


def _media_type(stream: LazyStream, start: bytes) -> str:
    """Read the headers of a part, and return its media type without parameters."""
    head = start + stream.read(MAX_HEADERS)
    lines, blank, content = head.partition(b"\r\n\r\n")
    if not blank:
        raise MalformedError
    stream.unget(content)
    for line in lines.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-type":
            return parse_header_parameters(value.decode("latin-1"))[0]
    return ""


def _kept(stream: LazyStream, media_type: str, max_bytes: int) -> ReceivedPart:
    """Write a part to a temporary file; read on without keeping it if it is too large."""
    # Closed by `ReceivedPart.close`.
    file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
        max_size=MEMORY_BYTES, dir=str(settings.FILE_UPLOAD_TEMP_DIR)
    )
    size = 0
    try:
        for chunk in stream:
            size += len(chunk)
            if size <= max_bytes:
                file.write(chunk)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    if size > max_bytes:
        file.close()
        return ReceivedPart(media_type, None, size)
    return ReceivedPart(media_type, file, size)
