"""Style sheets and scripts exist, are used, and are loaded by the pages that need them."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.staticfiles import finders
from django.contrib.staticfiles.storage import StaticFilesStorage

from xraysite.staticfiles import HashedStaticFilesStorage

ROOT = Path(settings.BASE_DIR)
TEMPLATES = ROOT / "templates"
STATIC = ROOT / "static"
SHEETS = sorted((STATIC / "css").rglob("*.css"))
SCRIPTS = sorted((STATIC / "js").rglob("*.js"))

STATIC_TAG = re.compile(r"\{% static '([^']+)' %\}")
PART = re.compile(r'\{%\s*(?:include|extends)\s+"([^"]+)"')
CLASS_ATTRIBUTE = re.compile(r'class="([^"]*)"')
NAME = re.compile(r"[A-Za-z_][\w-]*")
COMMENT = re.compile(r"/\*.*?\*/", re.S)
SELECTOR = re.compile(r"([^{};]+)\{")
CLASS_SELECTOR = re.compile(r"\.([A-Za-z_][\w-]*)")
IMPORT = re.compile(r'^import .* from "(\./[^"]+)";$', re.M)


def static_name(path: Path) -> str:
    return path.relative_to(STATIC).as_posix()


def template_name(path: Path) -> str:
    return path.relative_to(TEMPLATES).as_posix()


def parts_of(name: str, seen: set[str] | None = None) -> set[str]:
    """Return the template and every project template that it extends or includes."""
    seen = set() if seen is None else seen
    if name not in seen and (TEMPLATES / name).exists():
        seen.add(name)
        for part in PART.findall((TEMPLATES / name).read_text()):
            parts_of(part, seen)
    return seen


def selectors_of(sheet: Path) -> Iterator[list[str]]:
    """Yield the class names of each selector, in order."""
    for rule in SELECTOR.findall(COMMENT.sub("", sheet.read_text())):
        for selector in rule.split(","):
            yield CLASS_SELECTOR.findall(selector)


def styled_classes() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return the style sheets of each class outside the admin: styling it, and mentioning it."""
    styled, mentioned = defaultdict(set), defaultdict(set)
    for sheet in SHEETS:
        name = static_name(sheet)
        if name.startswith("css/admin/"):
            continue
        for classes in selectors_of(sheet):
            if classes:
                styled[classes[0]].add(name)
            for one in classes:
                mentioned[one].add(name)
    return styled, mentioned


def loaded_in_admin() -> set[str]:
    files: set[str] = set()
    for model_admin in admin.site._registry.values():
        media = model_admin.media
        files |= {str(sheet) for group in media._css.values() for sheet in group}
        files |= {getattr(script, "_path", str(script)) for script in media._js}
    return files


def loaded_by_templates() -> set[str]:
    return {
        name
        for kind in ("*.html", "*.js")
        for path in TEMPLATES.rglob(kind)
        for name in STATIC_TAG.findall(path.read_text())
    }


PAGES = [
    template_name(path)
    for path in sorted(TEMPLATES.rglob("*.html"))
    if "base.html" in parts_of(template_name(path))
]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_the_style_sheets_of_its_classes(page):
    source = "".join((TEMPLATES / part).read_text() for part in parts_of(page))
    loaded = set(STATIC_TAG.findall(source))
    used = {name for classes in CLASS_ATTRIBUTE.findall(source) for name in NAME.findall(classes)}
    styled, mentioned = styled_classes()
    missing = {
        name: sorted(styled[name])
        for name in used
        if styled.get(name) and not mentioned[name] & loaded
    }
    assert missing == {}


def test_every_static_file_that_is_loaded_exists():
    loaded = loaded_by_templates() | loaded_in_admin()
    assert len(loaded) > len(SHEETS), "too few static files were found"
    assert [name for name in sorted(loaded) if finders.find(name) is None] == []


def test_every_style_sheet_and_script_is_loaded():
    loaded = loaded_by_templates() | loaded_in_admin()
    imported = {
        static_name((script.parent / target).resolve())
        for script in SCRIPTS
        for target in IMPORT.findall(script.read_text())
    }
    ours = {static_name(path) for path in [*SHEETS, *SCRIPTS]}
    assert ours - loaded - imported == set()
    assert imported <= ours


def test_hashed_names_replace_imports_in_own_modules_only(tmp_path):
    source = StaticFilesStorage(location=tmp_path / "source", base_url="/static/")
    for name, text in {
        "js/page.js": 'import { a } from "./parts/a.js";\n',
        "js/parts/a.js": "export const a = 1;\n",
        "package/other.js": 'import { b } from "./not-shipped.js";\n',
    }.items():
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    names = ["js/page.js", "js/parts/a.js", "package/other.js"]
    target = HashedStaticFilesStorage(location=tmp_path / "target", base_url="/static/")
    for name in names:
        with source.open(name) as file:
            target.save(name, file)
    problems = [
        result
        for *_, result in target.post_process({name: (source, name) for name in names})
        if isinstance(result, Exception)
    ]
    assert problems == []

    def stored(name: str) -> str:
        return (tmp_path / "target" / target.stored_name(name)).read_text()

    hashed = Path(target.stored_name("js/parts/a.js")).name
    assert hashed != "a.js"
    assert stored("js/page.js") == f'import {{ a }} from "./parts/{hashed}";\n'
    assert stored("package/other.js") == 'import { b } from "./not-shipped.js";\n'
