"""Helpers shared by the commands."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError

from mlcore import registry
from mlcore.engine.serving.bundle import finite
from mlcore.registry import LoadedModel, ModelUnavailable
from xraysite.common.atomic_write import write_atomically


def add_ignore_folder(parser: ArgumentParser) -> None:
    """Add the option `--ignore-folder`, which may be repeated."""
    parser.add_argument(
        "--ignore-folder",
        action="append",
        default=[],
        metavar="NAME",
        help="leave out a folder that is neither NORMAL nor PNEUMONIA; may be repeated (default: "
        "stop at such a folder)",
    )


def chosen_model(name: str | None) -> LoadedModel:
    """Return the model with this name, by default the active or else the shipped one.

    Works without a database, because bundles are on disk.

    Raises:
        CommandError: there is no such bundle, or it is damaged.
    """
    try:
        if name is None:
            version = _active_version()
            if version is not None:
                return registry.loaded_version(version)
        return registry.load(folder_named(name or settings.SHIPPED_MODEL))
    except ModelUnavailable as error:
        raise CommandError(f"The model cannot be used ({error}).") from error


def folder_named(name: str) -> Path:
    """Return the folder of a bundle that is given by its name or as a path."""
    return Path(name) if "/" in name else registry.folder_of(name)


def _active_version() -> Any:
    try:
        return registry.active_version()
    except DatabaseError:
        return None


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:
    """Write `value` as JSON, completely or not at all.

    Args:
        path: the file to write.
        value: JSON values; those that are not finite become null.
        indent: spaces per level; None writes one line.

    Raises:
        CommandError: the file cannot be written.
    """
    try:
        text = json.dumps(finite(value), indent=indent, ensure_ascii=False, allow_nan=False)
        write_atomically(path, f"{text}\n".encode(), mode=0o644)
    except OSError as error:
        raise CommandError(f"{path} cannot be written: {error}") from error
