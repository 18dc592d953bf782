"""Names of uploaded files, made safe to show."""

import re
import unicodedata

MAX_LENGTH = 150
MAX_ENDING = 12


def display_name(name: str) -> str:
    """Return an uploaded file's name for display: no folders, no control characters.

    Characters that change the direction of text are removed too, since they can disguise an
    ending. A name that is too long keeps its beginning and its ending. Never open a file by it.

    Args:
        name: the name as the browser sent it, with the separators of any system.

    Returns:
        At most `MAX_LENGTH` characters; empty if nothing is left.
    """
    last = re.split(r"[/\\]", name)[-1]
    kept = "".join(
        " " if letter.isspace() else letter
        for letter in unicodedata.normalize("NFC", last)
        if letter.isspace() or unicodedata.category(letter)[0] != "C"
    )
    kept = " ".join(kept.split())
    if kept.strip(".") == "":
        return ""
    if len(kept) <= MAX_LENGTH:
        return kept
    stem, dot, ending = kept.rpartition(".")
    if not stem or len(ending) > MAX_ENDING:
        return kept[: MAX_LENGTH - 1] + "…"
    return stem[: MAX_LENGTH - len(ending) - 2] + "…" + dot + ending
