"""The key of an export: pseudonyms, UIDs and shifts of dates that nobody finds without it.

The same key gives the same pseudonyms, so that a later export adds to an earlier one.
"""

import base64
import datetime
import hashlib
import hmac
import stat
from pathlib import Path
from typing import Final

MIN_BYTES: Final = 32
# At least a year, so that no season survives by chance; about ten years at most.
_FEWEST_DAYS, _MOST_DAYS = 365, 3650


class KeyFileError(Exception):
    """Raised if a key file cannot be used; the message says what to do."""


class Key:
    """A secret from which everything that replaces an identifier is made by HMAC-SHA-256."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_BYTES:
            raise KeyFileError(
                f"The key needs {MIN_BYTES} bytes at least. Received {len(secret)}. Make one: "
                f"head -c {MIN_BYTES} /dev/urandom > FILE"
            )
        self._secret = secret

    def __repr__(self) -> str:
        return "Key(…)"

    def pseudonym(self, patient: str) -> str:
        """Return the name of a patient in the export, such as "P4QZ7…"."""
        return "P" + base64.b32encode(self._mac("patient", patient)[:10]).decode()

    def file_name(self, reading: str) -> str:
        """Return the name of a reading's film in the export, without an ending."""
        return base64.b32encode(self._mac("film", reading)[:10]).decode()

    def uid(self, uid: str) -> str:
        """Return the UID that replaces another, always the same (PS3.5 B.2)."""
        return f"2.25.{int.from_bytes(self._mac('uid', uid)[:16], 'big')}"

    def shifted(self, day: datetime.date, patient: str) -> datetime.date:
        """Return a day moved back by a number of days that is the patient's own.

        The days between two dates of a patient stay the same.
        """
        number = int.from_bytes(self._mac("days", patient)[:8], "big")
        days = _FEWEST_DAYS + number % (_MOST_DAYS - _FEWEST_DAYS + 1)
        return day - datetime.timedelta(days=days)

    def is_in(self, content: bytes) -> bool:
        """Return whether a file holds the key, as it is or in hexadecimal or base64."""
        forms = (self._secret, self._secret.hex().encode(), base64.b64encode(self._secret))
        return any(form in content for form in forms)

    def _mac(self, purpose: str, value: str) -> bytes:
        return hmac.new(self._secret, f"{purpose}\0{value}".encode(), hashlib.sha256).digest()


def read_key(path: Path, *, out: Path) -> Key:
    """Return the key in a file that nobody else may read.

    Args:
        out: the folder of the export, which must not contain the key.

    Raises:
        KeyFileError: the file cannot be read, others may read it, or it is in `out`.
    """
    try:
        mode, secret = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise KeyFileError(
            f"The key {path} cannot be read. Make one: head -c {MIN_BYTES} /dev/urandom > {path}"
        ) from error
    if stat.S_IMODE(mode) & 0o077:
        raise KeyFileError(f"Others may read the key {path}: chmod 600 {path}")
    if path.resolve().is_relative_to(out.resolve()):
        raise KeyFileError(f"The key {path} is in the folder of the export. Keep it elsewhere.")
    return Key(secret)
