"""Every event that the code records has a human-readable name."""

import ast
from pathlib import Path

from accounts.audit.registry import EVENTS, name_of

ROOT = Path(__file__).resolve().parent.parent.parent
RECORDING = {"record_access", "record_event", "record_change", "during"}


def recorded() -> dict[str, str]:
    """Return the events used in the code, each with a file that uses it."""
    found = {}
    for app in ("accounts", "diagnosis", "forum", "mlcore", "xraysite"):
        for path in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if not isinstance(node, ast.Call):
                    continue
                if ast.unparse(node.func).split(".")[-1] not in RECORDING:
                    continue
                named = [word.value for word in node.keywords if word.arg == "what"]
                for value in (named or node.args)[:1]:
                    for part in ast.walk(value):
                        if isinstance(part, ast.Constant) and isinstance(part.value, str):
                            found[part.value] = path.name
    return found


def test_every_event_that_is_recorded_has_a_name():
    events = recorded()
    assert len(events) > 10
    assert {what: file for what, file in events.items() if what not in EVENTS} == {}


def test_an_event_fits_its_column():
    assert max(map(len, EVENTS)) <= 32


def test_an_event_of_an_older_version_is_shown_unchanged():
    assert name_of("long gone") == "long gone"
