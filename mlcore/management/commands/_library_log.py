"""Keeps the messages of TensorFlow and other libraries out of a command's output."""

import faulthandler
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from mlcore.engine.metrics import UndefinedMetricWarning

LIBRARIES = ("tensorflow", "absl", "keras", "jax", "h5py", "matplotlib", "PIL")
INSTALLED = ("site-packages", "dist-packages")


@contextmanager
def library_messages(path: Path) -> Iterator[None]:
    """Redirect messages of libraries to a file within the context.

    That is what native code writes to the standard error stream, records below ERROR of the
    libraries' loggers, and warnings raised in their code. Warnings raised by this project,
    errors and tracebacks go where they always go. A metric that is undefined is written to the
    file too, because the command prints it with its reason.

    Args:
        path: the file; created if missing, readable only by its owner.
    """
    with ExitStack() as stack:
        file = stack.enter_context(os.fdopen(_opened(path), "a", buffering=1, encoding="utf-8"))
        stack.enter_context(_native_to(file))
        stack.enter_context(_warnings_to(file))
        stack.enter_context(_loggers_to(file))
        yield


def _opened(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)


@contextmanager
def _native_to(file: TextIO) -> Iterator[None]:
    """Point descriptor 2 to `file`, and Python's own messages to what it was before."""
    before = sys.__stderr__
    if before is None or sys.stderr is not before:
        # Something else, such as a test, reads the stream already.
        yield
        return
    before.flush()
    terminal = os.fdopen(
        os.dup(2), "w", buffering=1, encoding=before.encoding, errors="backslashreplace"
    )
    handlers = [
        handler
        for handler in logging.root.handlers
        if isinstance(handler, logging.StreamHandler) and handler.stream is before
    ]
    os.dup2(file.fileno(), 2)
    sys.stderr = terminal
    for handler in handlers:
        handler.setStream(terminal)
    # A crash of native code names its place on the terminal, although its message is in the file.
    was_enabled = faulthandler.is_enabled()
    faulthandler.enable(terminal)
    try:
        yield
    finally:
        terminal.flush()
        os.dup2(terminal.fileno(), 2)
        sys.stderr = before
        for handler in handlers:
            handler.setStream(before)
        faulthandler.disable()
        if was_enabled:
            faulthandler.enable(before)
        terminal.close()


@contextmanager
def _warnings_to(file: TextIO) -> Iterator[None]:
    """Write warnings of libraries and of undefined metrics to `file`."""
    with warnings.catch_warnings():
        show = warnings.showwarning

        def sorted_out(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            *rest: Any,
            **named: Any,
        ) -> None:
            ours = not any(part in INSTALLED for part in Path(filename).parts)
            if ours and not issubclass(category, UndefinedMetricWarning):
                show(message, category, filename, lineno, *rest, **named)
            else:
                file.write(warnings.formatwarning(message, category, filename, lineno))

        warnings.showwarning = sorted_out
        yield


@contextmanager
def _loggers_to(file: TextIO) -> Iterator[None]:
    """Write records of the libraries' loggers below ERROR to `file` instead."""
    to_file = logging.StreamHandler(file)
    to_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    to_file.addFilter(_is_library_message)
    handlers = list(logging.root.handlers)
    logging.root.addHandler(to_file)
    for handler in handlers:
        handler.addFilter(_is_ours_or_error)
    try:
        yield
    finally:
        logging.root.removeHandler(to_file)
        for handler in handlers:
            handler.removeFilter(_is_ours_or_error)


def _is_library_message(record: logging.LogRecord) -> bool:
    return record.levelno < logging.ERROR and record.name.split(".")[0] in LIBRARIES


def _is_ours_or_error(record: logging.LogRecord) -> bool:
    return not _is_library_message(record)
