"""The site with stopwatches on the parts of an upload, for `bench_upload.py`.

One request at a time: a part that another thread works on for a request counts for that request.
"""

import functools
import importlib
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.profiled_parts import PARTS, REST
from xraysite.wsgi import application as site

_inside: list[list[float]] = []
_spent: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])


def _clocks() -> list[float]:
    return [time.perf_counter(), time.process_time()]


def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function with a stopwatch that runs while a request is being timed."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if not _inside:
            return function(*args, **kwargs)
        started, within = _clocks(), [0.0, 0.0]
        _inside.append(within)
        try:
            return function(*args, **kwargs)
        finally:
            _inside.pop()
            took = [now - then for now, then in zip(_clocks(), started, strict=True)]
            for index in (0, 1):
                _spent[part][index] += took[index] - within[index]
                if _inside:
                    _inside[-1][index] += took[index]

    return run


def install() -> None:
    """Put the stopwatches in."""
    for part, places in PARTS.items():
        for place in places:
            module, _, path = place.partition(":")
            *owners, name = path.split(".")
            owner = functools.reduce(getattr, owners, importlib.import_module(module))
            setattr(owner, name, timed(part, getattr(owner, name)))


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer a request; append the milliseconds of an upload's parts to the file `PROFILE`."""
    if environ["REQUEST_METHOD"] != "POST":
        return site(environ, start_response)
    _spent.clear()
    _inside.append([0.0, 0.0])
    try:
        response = timed(REST, site)(environ, start_response)
    finally:
        _inside.clear()
    line = {part: [1000 * each for each in spent] for part, spent in _spent.items()}
    with Path(os.environ["PROFILE"]).open("a") as file:
        file.write(json.dumps(line) + "\n")
    return response


install()
