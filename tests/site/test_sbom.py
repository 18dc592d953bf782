"""The software bill of materials lists everything that a web process runs."""

import hashlib
import json
import runpy

import pytest

from tests.locks import ROOT, entries
from xraysite.settings import base

SCRIPT = ROOT / "scripts" / "make_sbom.py"


@pytest.fixture(scope="module")
def script():
    return runpy.run_path(str(SCRIPT))


@pytest.fixture(scope="module")
def sbom(script):
    return json.loads(script["make"]())


def test_every_locked_package_is_listed_with_its_hashes(sbom):
    lock = (ROOT / "requirements-serve.txt").read_text()
    listed = {part["purl"]: part for part in sbom["components"] if "purl" in part}
    pins = entries(lock)
    assert len(pins) > 30
    found = set()
    for pin in pins:
        (specifier,) = pin.specifier
        part = listed[f"pkg:pypi/{pin.name.lower()}@{specifier.version}"]
        (files,) = part["externalReferences"]
        found |= {each["content"] for each in files["hashes"]}
    assert all(f"sha256:{digest}" in lock for digest in found)
    assert len(found) == len({part for part in lock.split() if part.startswith("--hash")})


def test_vendored_files_and_models_are_listed(sbom):
    parts = {part["name"]: part for part in sbom["components"]}
    for package in json.loads((ROOT / "static" / "vendor" / "manifest.json").read_text()):
        part = parts[package["name"]]
        assert part["version"] == package["version"]
        assert part["licenses"] == [{"license": {"name": package["licence"]}}]
        files = {file["name"]: file["hashes"][0]["content"] for file in part["components"]}
        assert files == package["files"]
    model = parts[base.SHIPPED_MODEL]
    card = ROOT / "mlcore" / "bundles" / base.SHIPPED_MODEL / "card.json"
    assert model["type"] == "machine-learning-model"
    assert model["hashes"][0]["content"] == hashlib.sha256(card.read_bytes()).hexdigest()


def test_the_same_sources_give_the_same_file(script):
    assert script["make"]() == script["make"]()


def test_a_package_without_a_hash_is_refused(script):
    with pytest.raises(ValueError, match=r"pip==1\.0 is locked without a hash"):
        list(script["packages"]("pip==1.0\n"))


def test_the_check_makes_it():
    assert "scripts/make_sbom.py" in (ROOT / "scripts" / "check").read_text()
