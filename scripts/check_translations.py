"""Fail if a text has no Traditional Chinese translation, is marked fuzzy or is not compiled.

`locale/` has the texts of this project, which this script collects from the code again.
`locale_overrides/` has texts of Django, allauth and other libraries; they are not in this project's
code, so `makemessages` would drop them from `locale/` as obsolete.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import polib

MESSAGES = Path("zh_Hant/LC_MESSAGES")
LOCALE = "locale" / MESSAGES
OVERRIDES = "locale_overrides" / MESSAGES


def collected() -> set[tuple[str, str]]:
    """Return (context, text) of every translatable text in the code as it is now."""
    # makemessages writes to locale/, so it runs on a temporary copy.
    with tempfile.TemporaryDirectory() as scratch:
        files = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z",
             "accounts", "diagnosis", "exchange", "mlcore", "forum", "xraysite", "templates",
             "manage.py"],
            check=True, capture_output=True, text=True,
        ).stdout.split("\0")  # fmt: skip
        for name in filter(None, files):
            if name.endswith((".py", ".html", ".txt")) and Path(name).exists():
                target = Path(scratch, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(Path(name).read_bytes())
        Path(scratch, "locale").mkdir()
        subprocess.run(
            ["env", "-u", "DJANGO_SETTINGS_MODULE", Path(sys.prefix, "bin", "django-admin"),
             "makemessages", "-l", "zh_Hant", "-v0"],
            check=True, cwd=scratch,
        )  # fmt: skip
        entries = polib.pofile(f"{scratch}/{LOCALE}/django.po")
    return {(entry.msgctxt or "", entry.msgid) for entry in entries}


def problems_of(path: Path) -> list[str]:
    """Return what is wrong with a catalogue, and with what was compiled from it."""
    catalog = polib.pofile(str(path))
    compiled = {
        (e.msgctxt or "", e.msgid): e.msgstr or e.msgstr_plural
        for e in polib.mofile(str(path.with_suffix(".mo")))
    }
    return [
        *(f"{path}: fuzzy: {e.msgid!r}" for e in catalog.fuzzy_entries()),
        *(f"{path}: no Chinese: {e.msgid!r}" for e in catalog.untranslated_entries()),
        *(
            f"{path}: not compiled: {e.msgid!r}"
            for e in catalog.translated_entries()
            if compiled.get((e.msgctxt or "", e.msgid)) != (e.msgstr or e.msgstr_plural)
        ),
    ]


def main() -> int:
    paths = [LOCALE / "django.po", *sorted(OVERRIDES.glob("*.po"))]
    problems = [problem for path in paths for problem in problems_of(path)]
    translated = {
        (e.msgctxt or "", e.msgid) for e in polib.pofile(str(paths[0])).translated_entries()
    }
    if subprocess.run(["sh", "-c", "command -v xgettext"], capture_output=True).returncode == 0:
        problems += [f"not in {paths[0]}: {text!r}" for text in sorted(collected() - translated)]
    else:
        print("GNU gettext is not installed: not checked whether new texts are translated.")
    print("\n".join(problems) or f"{len(translated)} texts, all in Traditional Chinese.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
