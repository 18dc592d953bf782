"""Errors of backup and restore; their text is for the operator."""


class BackupError(Exception):
    """Raised when a backup cannot be made, read or restored."""


class DamagedError(BackupError):
    """Raised when a file differs from its SHA-256 or is missing."""
