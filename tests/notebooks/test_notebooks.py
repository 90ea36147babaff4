"""Every notebook is stripped, defines nothing, and runs from start to end, offline."""

import ast
import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 900  # for one cell, on a busy machine; a whole notebook takes less than 40 s on an idle one

FIGURES = (
    *("interchange_maps(", "site_scores(", "training_curves("),
    *("attribution_layers(", "agreement_by_layer(", "coloured_text(", "disagreements("),
    *("teaching_shares(", "coloured_modes(", "accuracy_by_mode(", "uncertainty_distribution(", "larger_teachers("),
)


def _read(path: Path) -> NotebookNode:
    return nbformat.read(path, as_version=4)


def _code(path: Path) -> list[str]:
    return [cell.source for cell in _read(path).cells if cell.cell_type == "code"]


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_outputs_are_kept(path: Path) -> None:
    kept = [
        cell.id for cell in _read(path).cells if cell.cell_type == "code" and (cell.outputs or cell.execution_count)
    ]
    assert not kept, f"{path.name} keeps outputs in the cells {kept}; clear them before committing"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_defines_nothing(path: Path) -> None:
    code = "\n".join(line for cell in _code(path) for line in cell.splitlines() if not line.startswith("%"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    defined = [ast.unparse(node)[:60] for node in ast.walk(ast.parse(code)) if isinstance(node, kinds)]
    assert not defined, f"{path.name} defines {defined}; a notebook is prose and calls, put code into the packages"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The notebook runs where it cannot write into the checkout, and on figures that nobody looks at.
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    notebook = _read(path)
    NotebookClient(
        notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not any(output.output_type == "error" for output in shown)
    drawn = sum("image/png" in output.get("data", {}) for output in shown)
    assert drawn == sum(cell.splitlines()[-1].startswith(FIGURES) for cell in _code(path))
