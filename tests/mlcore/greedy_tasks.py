"""Tasks that break the limits of a decoder process."""

import ctypes
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
