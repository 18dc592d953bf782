"""Class folders of a data set."""

from collections.abc import Sequence
from pathlib import Path

LABELS = ("NORMAL", "PNEUMONIA")
SPLITS = ("train", "validation", "test")
_SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "held-out": "test",
    "heldout": "test",
}


class DatasetError(Exception):
    """Raised when a folder is not a usable data set; the message says what to change."""


def find_files(root: Path, *, ignored: Sequence[str] = ()) -> list[tuple[Path, str, str]]:
    """List every file in class folders, sorted by path.

    A class folder is named NORMAL or PNEUMONIA in any case, either directly in `root` or in
    split folders (train, val, test) there. Hidden files are ignored.

    Args:
        root: folder of the data set.
        ignored: names of folders that are left out; any other one beside the class folders is
            refused, because its films would be left out silently.

    Returns:
        (path, label, split) per file; split is "" unless the folders state one.

    Raises:
        DatasetError: `root` is not a folder, contains a folder that is neither a class nor ignored,
            or a class has no files.
    """
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder.")
    _refuse_other_folders(root, ignored)
    found: list[tuple[Path, str, str]] = []
    for folder, split in _class_folder_parents(root):
        for child in sorted(folder.iterdir()):
            if child.is_dir() and child.name.upper() in LABELS:
                files = (path for path in sorted(child.rglob("*")) if path.is_file())
                found += [
                    (path, child.name.upper(), split)
                    for path in files
                    if not path.name.startswith(".")
                ]
    missing = [label for label in LABELS if not any(entry[1] == label for entry in found)]
    if missing:
        raise DatasetError(
            f"{root} must contain the class folders {' and '.join(LABELS)} with films. "
            f"Nothing found for: {', '.join(missing)}."
        )
    return found


def _refuse_other_folders(root: Path, ignored: Sequence[str]) -> None:
    parents = {folder for folder, _ in _class_folder_parents(root)}
    others = [
        child
        for folder in sorted(parents | {root})
        for child in sorted(folder.iterdir())
        if child.is_dir()
        and child not in parents
        and child.name.upper() not in LABELS
        and not child.name.startswith(".")
        and child.name not in ignored
    ]
    if others:
        names = ", ".join(child.relative_to(root).as_posix() for child in others)
        options = " ".join(f"--ignore-folder {name}" for name in sorted({o.name for o in others}))
        raise DatasetError(
            f"{root} contains folders other than {' and '.join(LABELS)}: {names}. Move them away, "
            f"or leave their files out with: {options}"
        )


def _class_folder_parents(root: Path) -> list[tuple[Path, str]]:
    folders = [path for path in sorted(root.iterdir()) if path.is_dir()]
    if any(path.name.upper() in LABELS for path in folders):
        return [(root, "")]
    return [
        (path, _SPLIT_FOLDERS[path.name.lower()])
        for path in folders
        if path.name.lower() in _SPLIT_FOLDERS
    ]
