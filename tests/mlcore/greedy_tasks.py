"""Tasks that break the limits of a decoder process, or look into it."""

import ctypes
import sys
import time
from typing import Any


def spin(_arguments: dict[str, Any], _content: bytes) -> tuple[dict[str, Any], bytes]:
    while True:
        pass


def hoard(_arguments: dict[str, Any], _content: bytes) -> tuple[dict[str, Any], bytes]:
    return {"size": len(bytearray(700 * 2**20))}, b""


def crash(_arguments: dict[str, Any], _content: bytes) -> tuple[dict[str, Any], bytes]:
    ctypes.string_at(0)
    return {}, b""


def doze(_arguments: dict[str, Any], _content: bytes) -> tuple[dict[str, Any], bytes]:
    time.sleep(1)
    return {"slept": True}, b""


def loaded(_arguments: dict[str, Any], _content: bytes) -> tuple[dict[str, Any], bytes]:
    """Return the names of the packages that are loaded."""
    names = {name.partition(".")[0] for name, module in sys.modules.items() if module}
    return {"packages": sorted(names)}, b""
