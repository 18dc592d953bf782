"""Architecture rules: allowed imports, module length, and what a web process loads."""

import ast
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("accounts", "diagnosis", "exchange", "forum", "mlcore", "xraysite")
MODULES = sorted(
    path
    for package in PACKAGES
    for path in (ROOT / package).rglob("*.py")
    if "migrations" not in path.parts
)
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 40


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_import_contracts():
    run = subprocess.run(
        [Path(sys.prefix, "bin", "lint-imports"), "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("path", MODULES, ids=ids)
def test_modules_and_functions_stay_small(path):
    source = path.read_text()
    assert source.count("\n") <= MAX_MODULE_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            body = node.body
            documented = isinstance(body[0], ast.Expr) and len(body) > 1
            first = body[1] if documented else body[0]
            lines = node.end_lineno - first.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{node.name}: {lines} lines of code"


# Modules that handle requests: by their own name or by that of their package.
ANSWERING = re.compile(r"(^|_)(views|admin|forms|filters|serving)(_|$)")
PAGES = [
    path
    for path in MODULES
    if any(ANSWERING.search(part) for part in path.relative_to(ROOT).with_suffix("").parts)
]


ACCESS_PATHS = {"own_of", "team_of", "visible_to", "worklist_of"}


def test_modules_that_handle_requests_are_found():
    apps = {path.relative_to(ROOT).parts[0] for path in PAGES}
    assert apps >= {"accounts", "diagnosis", "forum", "mlcore", "xraysite"}


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_pages_reach_readings_through_visible_to_only(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            reached = ast.unparse(node.value)
            assert not re.search(r"\b(Reading|Patient)\._(default|base)_manager$", reached), reached
            if re.search(r"\b(Reading|Patient)\.objects$", reached):
                assert node.attr in ACCESS_PATHS, ast.unparse(node)


def test_robust_callbacks_have_a_name():
    """Django logs a failing one by its name, which a `partial` lacks, and then fails itself."""
    found = 0
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("on_commit"):
                text = ast.unparse(node)
                found += 1
                assert not ("robust=True" in text and "partial(" in text), f"{path}: {text}"
    assert found >= 5


WEB_PROCESS = """
import os, sys, uuid
os.environ["DJANGO_SETTINGS_MODULE"] = "xraysite.settings.test"
import django
from django.conf import settings
django.setup()
from django.core.management import call_command
from django.test import Client
from django.core.files.uploadedfile import SimpleUploadedFile
call_command("migrate", verbosity=0)
call_command("activate_model", settings.SHIPPED_MODEL, verbosity=0)
from accounts import roles, services
doctor = services.create_account(
    email="d@example.org", display_name="D", password="x" * 20, role=roles.DOCTOR
)
from tests.films import synthetic_film, encode
browser = Client()
browser.force_login(doctor)
film = SimpleUploadedFile("film.png", encode(synthetic_film("NORMAL", seed=1), "png"))
answer = browser.post("/readings/new/", {
    "film": film, "patient_name": "A", "patient_age_years": 3, "exam_date": "2026-01-02",
    "submission": str(uuid.uuid4()),
})
assert answer.status_code == 302, answer.content.decode()
for part in ("", "film/", "heatmap/"):
    assert browser.get(answer.headers["Location"] + part).status_code == 200
heavy = {"tensorflow", "keras", "sklearn", "matplotlib", "scipy", "rich", "jax", "torch"}
print("loaded:", sorted(heavy & set(sys.modules)))
"""


def test_web_process_loads_no_training_libraries():
    """Read and show a film in one process, then list what it has imported."""
    run = subprocess.run(
        [sys.executable, "-c", WEB_PROCESS],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "loaded: []"


@pytest.fixture(scope="module")
def import_graph():
    spec = importlib.util.spec_from_file_location(
        "import_graph", ROOT / "scripts" / "import_graph.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, module.build()


def test_no_modules_import_each_other_in_a_cycle(import_graph):
    """Includes imports for type checking, which import-linter ignores."""
    count, graph = import_graph
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    assert len(imports) > 200
    assert count.cycles(imports) == []


def test_cycle_is_detected(import_graph):
    count, _graph = import_graph
    imports = {"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a", "c"}}
    assert count.cycles(imports) == [["b", "c"]]
    assert count.levels(imports) == 0
    assert count.levels({"a": {"b"}, "b": {"c"}, "c": set(), "d": {"c"}}) == 3


@pytest.mark.parametrize("package", ["mlcore.engine", *PACKAGES])
def test_parts_of_a_package_form_levels(import_graph, package):
    count, graph = import_graph
    parts = count.imports_between_parts(graph, package)
    assert count.cycles(parts) == []
    assert count.levels(parts) >= 2
