"""Cut the fonts of the PDF report out of the Noto fonts, and write their manifest.

usage: make_report_fonts.py CJK_FOLDER NOTO_SANS_FOLDER

CJK_FOLDER holds NotoSansCJK-Regular.ttc and NotoSansCJK-Bold.ttc, as Debian's package
fonts-noto-cjk installs them; NOTO_SANS_FOLDER is the unpacked npm package
@expo-google-fonts/noto-sans. The regular CJK font keeps every character of the Traditional Chinese
face; the bold one keeps those of Big5 and of alphabets, for anything else is shown in regular.
"""

import hashlib
import json
import sys
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTCollection, TTFont

TARGET = Path(__file__).resolve().parent.parent / "diagnosis" / "fonts"
FACE = "Noto Sans CJK TC"
CJK, SANS = "noto-sans-cjk-tc", "noto-sans"
ALPHABETS = [*range(0x20, 0x530), *range(0x1D00, 0x2100), *range(0xA720, 0xA800)]
CHANGED = {
    CJK: "Cut out of NotoSansCJK-*.ttc by scripts/make_report_fonts.py: the face for Traditional "
    "Chinese, without layout features; bold for Big5 and alphabets only.",
    SANS: "Cut by scripts/make_report_fonts.py: Latin, Greek and Cyrillic only.",
}
SOURCES = {CJK: "https://github.com/notofonts/noto-cjk", SANS: "https://fonts.google.com/noto"}


def big5() -> set[int]:
    """Return the characters of Big5, as Microsoft's code page 950 has them."""
    found: set[int] = set()
    for lead in range(0xA1, 0xFA):
        for trail in (*range(0x40, 0x7F), *range(0xA1, 0xFF)):
            try:
                found |= set(map(ord, bytes([lead, trail]).decode("cp950")))
            except UnicodeDecodeError:
                continue
    return found


def options(*, features: list[str], number: int = -1) -> subset.Options:
    made = subset.Options()
    made.layout_features = features
    made.hinting = False
    made.name_IDs = ["*"]
    made.name_languages = [0x409]
    made.drop_tables += ["VORG", "vhea", "vmtx", "BASE", "DSIG"]
    made.font_number = number
    made.recalc_timestamp = False
    made.legacy_kern = False
    return made


def cut(source: Path, target: Path, kept: set[int] | None, made: subset.Options) -> TTFont:
    """Write the part of a font that has the characters `kept`, or all of them."""
    font = subset.load_font(str(source), made)
    cutter = subset.Subsetter(made)
    characters = set(font.getBestCmap())
    cutter.populate(unicodes=characters if kept is None else characters & kept)
    cutter.subset(font)
    subset.save_font(font, str(target), made)
    return font


def face_number(collection: Path) -> int:
    faces = TTCollection(str(collection), lazy=True).fonts
    return next(n for n, face in enumerate(faces) if face["name"].getDebugName(1) == FACE)


def entry(name: str, version: str, sources: list[Path]) -> dict[str, object]:
    folder = TARGET / f"{name}-{version}"
    files = {
        str(path.relative_to(TARGET)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }
    cut_from = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sources}
    return {
        "name": name, "version": version, "licence": "OFL-1.1", "source": SOURCES[name],
        "changed": CHANGED[name], "cut_from": cut_from, "files": files,
    }  # fmt: skip


def version_of(font: TTFont) -> str:
    """Return "2.004" of a name such as "Version 2.004;hotconv 1.0.118"."""
    return str(font["name"].getDebugName(5)).removeprefix("Version ").partition(";")[0].strip()


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    cjk, sans = Path(sys.argv[1]), Path(sys.argv[2])
    licence = (sans / "LICENSE_FONT").read_text()
    manifest = []
    for name, sources in (
        (CJK, {w: cjk / f"NotoSansCJK-{w}.ttc" for w in ("Regular", "Bold")}),
        (SANS, {w: sans / f"{n}{w}" / f"NotoSans_{n}{w}.ttf"
                for n, w in ((400, "Regular"), (700, "Bold"))}),
    ):  # fmt: skip
        is_cjk = name == CJK
        first = TTFont(sources["Regular"], fontNumber=0 if is_cjk else -1, lazy=True)
        version, copyright_line = version_of(first), str(first["name"].getDebugName(0))
        folder = TARGET / f"{name}-{version}"
        folder.mkdir(parents=True, exist_ok=True)
        for weight, source in sources.items():
            kept: set[int] | None = set(ALPHABETS)
            if is_cjk:
                kept = None if weight == "Regular" else set(ALPHABETS) | big5()
            made = options(
                features=[] if is_cjk else ["ccmp", "mark", "mkmk", "kern"],
                number=face_number(source) if is_cjk else -1,
            )
            target = folder / f"{name}-{weight.lower()}{'.otf' if is_cjk else '.ttf'}"
            cut(source, target, kept, made)
        body = licence.partition("\n")[2]
        (folder / "LICENSE").write_text(f"{copyright_line}\n{body}")
        manifest.append(entry(name, version, list(sources.values())))
    (TARGET / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
