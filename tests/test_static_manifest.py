"""Static files: vendored files match their manifests, and nothing is loaded from elsewhere."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from django.conf import settings

ROOT = Path(settings.BASE_DIR)
VENDOR = ROOT / "static" / "vendor"
FONTS = ROOT / "diagnosis" / "fonts"
PACKAGES = [
    (folder, package)
    for folder in (VENDOR, FONTS)
    for package in json.loads((folder / "manifest.json").read_text())
]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
STYLES = sorted((ROOT / "static").rglob("*.css"))
SCRIPTS = sorted((ROOT / "static").rglob("*.js"))

LOADED = re.compile(
    r"""(?:src|srcset|href|action|hx-\w+)\s*=\s*["']?\s*((?:https?:)?//[^"'\s>]+)"""
)
CSS_LOADED = re.compile(r"""(?:@import\s*|url\(\s*)["']?((?:https?:)?//[^"')\s]+)""")
INLINE = re.compile(r"""<style\b|\sstyle\s*=\s*["']|\son[a-z]+\s*=\s*["']|javascript:""", re.I)
# A block of JSON data is not executed.
INLINE_SCRIPT = re.compile(r'<script\b(?![^>]*(?:\bsrc=|type="application/json"))', re.I)


def test_files_are_found():
    assert PACKAGES
    assert len(TEMPLATES) > 50
    assert len(STYLES) > 5
    assert len(SCRIPTS) > 5


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize(
    ("folder", "package"), PACKAGES, ids=[package["name"] for _folder, package in PACKAGES]
)
def test_vendored_files_match_the_manifest(folder, package):
    assert package["version"]
    assert package["licence"]
    assert package["source"]
    own = folder / f"{package['name']}-{package['version']}"
    on_disk = {str(path.relative_to(folder)) for path in own.rglob("*") if path.is_file()}
    assert on_disk == set(package["files"])
    assert any(Path(name).name == "LICENSE" for name in on_disk)
    for name, sha256 in package["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256, name


@pytest.mark.parametrize("folder", [VENDOR, FONTS], ids=lambda folder: folder.name)
def test_vendored_folders_match_the_manifest(folder):
    folders = {path.name for path in folder.iterdir() if path.is_dir()}
    assert folders == {
        f"{package['name']}-{package['version']}" for where, package in PACKAGES if where == folder
    }


@pytest.mark.parametrize("path", TEMPLATES, ids=relative)
def test_template_has_no_external_resources_or_inline_code(path):
    source = path.read_text()
    assert LOADED.findall(source) == []
    if path.name == "report.html":
        # The data-set report is a file of its own, not a page of the site.
        source = source.replace("<style>", "")
    assert INLINE.findall(source) == [], "the content security policy forbids inline code"
    assert INLINE_SCRIPT.findall(source) == []


@pytest.mark.parametrize("path", STYLES, ids=relative)
def test_style_sheet_has_no_external_resources(path):
    assert CSS_LOADED.findall(path.read_text()) == []


@pytest.mark.parametrize("path", [*STYLES, *SCRIPTS], ids=relative)
def test_no_source_map_references(path):
    # collectstatic with hashed names fails on a missing source map.
    assert "sourceMappingURL" not in path.read_text()


def test_sprite_contains_exactly_the_icons_used():
    (sprite,) = VENDOR.glob("bootstrap-icons-*/icons.svg")
    drawn = set(re.findall(r'id="([a-z0-9-]+)"', sprite.read_text()))
    named = {
        name
        for path in TEMPLATES
        for name in re.findall(r'\{% icon "([a-z0-9-]+)"', path.read_text())
    }
    assert named <= drawn, "add the missing icons from the same version of bootstrap-icons"
    assert drawn <= named, "remove the icons that no template uses"
