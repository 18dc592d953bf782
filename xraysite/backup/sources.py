"""The files of a site that a backup contains, by the root that they lie below."""

from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.core.files.storage import default_storage, storages

from diagnosis.storage import CONFIRMED_MODE, original_name

FILMS, FILES, BUNDLES = "films", "files", "bundles"


def roots() -> dict[str, Path]:
    """Return the folders of X-rays, of profile and board images, and of trained models."""
    return {
        FILMS: Path(storages["films"].path("")),
        FILES: Path(default_storage.path("")),
        BUNDLES: Path(settings.BUNDLE_DIR),
    }


def film_path(sha256: str) -> str:
    """Return the path of an uploaded film below its root."""
    return original_name(sha256)


def other_files() -> Iterator[tuple[str, Path]]:
    """Yield the root and the path of every image and of every file of a trained model."""
    for root in (FILES, BUNDLES):
        for path in sorted(roots()[root].rglob("*")):
            if path.is_file() and not path.name.startswith(".part-"):
                yield root, path


def mode_of(root: str) -> int:
    """Return the mode of restored files; films have readings, so they are read-only."""
    return CONFIRMED_MODE if root == FILMS else 0o600
