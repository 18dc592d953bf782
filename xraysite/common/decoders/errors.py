"""Errors of decoding that are not the file's fault."""


class DecoderUnavailableError(Exception):
    """Raised when no decoder can be started, or each one dies at once."""
