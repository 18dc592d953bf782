"""The notebook runs completely and is committed without outputs."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))

# In a separate process, because a kernel leaves sockets and event loops behind.
RUN = """
import json, sys
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
client = NotebookClient(
    notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": sys.argv[2]}}
)
client.execute()
print(json.dumps([cell.get("outputs", []) for cell in notebook.cells]))
"""


def test_there_is_a_notebook():
    assert NOTEBOOKS, "pytest would skip the tests below"


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text())["cells"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_committed_without_outputs(path):
    for cell in cells(path):
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_imports_only_the_engine(path):
    for cell in cells(path):
        if cell["cell_type"] != "code":
            continue
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            for name in names:
                package = name.partition(".")[0]
                assert package not in {"django", "accounts", "diagnosis", "xraysite", "tests"}
                assert package != "mlcore" or name.startswith("mlcore.engine")


@pytest.mark.xdist_group("notebook")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_runs_on_synthetic_films(path, tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path), "TOUR_EPOCHS": "5"}
    environment.pop("XRAYSITE_DATA", None)
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path), str(path.parent)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    outputs = json.loads(done.stdout.splitlines()[-1])
    shown = [entry for cell in outputs for entry in cell if "image/png" in entry.get("data", {})]
    said = "".join(entry.get("text", "") for cell in outputs for entry in cell)
    assert len(shown) >= 6
    assert "patients in two splits: split by patient 0, by film " in said
    assert "largest difference" in said
    assert "after one byte was cut off: model.tflite does not match" in said
