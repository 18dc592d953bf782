"""Names of files that are sent with their folders."""

import re

from diagnosis.models import MAX_PATH
from xraysite.common.file_names import display_name

MAX_FOLDERS = 6
# What systems and programs write into folders.
JUNK = {"thumbs.db", "desktop.ini", "dicomdir", ".ds_store", "__macosx", "lockfile"}


def clean_path(path: str) -> str:
    """Return a file's name with its folders, for display; never open a file by it.

    Of a deep path, the last folders are kept.
    """
    parts = [display_name(part) for part in re.split(r"[/\\]", path)]
    kept = [part for part in parts if part][-MAX_FOLDERS:]
    while len(kept) > 1 and len("/".join(kept)) > MAX_PATH:
        kept.pop(0)
    return "/".join(kept) or "?"


def is_junk(path: str) -> bool:
    """Return whether a file was written by a system for itself, such as `.DS_Store`."""
    parts = [part.lower() for part in re.split(r"[/\\]", path) if part]
    return any(part in JUNK or part.startswith("._") for part in parts) or not parts


def folder_of(path: str) -> str:
    """Return the folders of a path, "" if it has none."""
    return path.rpartition("/")[0]


def key_of(path: str) -> str:
    """Return what a path is compared by: Windows and macOS do not distinguish case."""
    return clean_path(path).casefold()
