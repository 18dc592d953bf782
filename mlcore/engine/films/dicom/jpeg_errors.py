"""Errors of the lossless-JPEG decoder."""

from __future__ import annotations


class JpegLosslessError(ValueError):
    """Raised when a stream is damaged, incomplete or of an unsupported kind."""


class TruncatedStreamError(JpegLosslessError):
    """Raised when a stream ends before its last sample."""


class UnsupportedStreamError(JpegLosslessError):
    """Raised when a valid stream has several components or uses another JPEG process."""
