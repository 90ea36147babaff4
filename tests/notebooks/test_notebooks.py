"""Every notebook is kept as it ran, for any machine alike, defines nothing, and runs from start to end, offline."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client import KernelManager

from tests.notebooks.store import NOTEBOOKS, WIDGETS, cleared, dpi, executed, kernel, read, shape, stripped

FIGURES = (
    *("interchange_maps(", "site_scores(", "training_curves("),
    *("attribution_layers(", "agreement_by_layer(", "coloured_text(", "disagreements("),
    *("teaching_shares(", "coloured_modes(", "accuracy_by_mode(", "uncertainty_distribution(", "larger_teachers("),
)
LEARNT = {"05_search_and_verify.ipynb", "06_your_own_models.ipynb"}
"""They search, and what is found is there only after a teacher has learnt its task."""
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelManager]:
    with kernel(tmp_path_factory.mktemp("kernel")) as manager:
        yield manager


def _code(path: Path) -> list[str]:
    return [cell.source for cell in read(path).cells if cell.cell_type == "code"]


def _tree(path: Path) -> ast.Module:
    return ast.parse("\n".join(line for cell in _code(path) for line in cell.splitlines() if not line.startswith("%")))


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) == 6


@every_notebook
def test_its_outputs_are_kept_small_and_without_anything_of_one_machine(path: Path) -> None:
    notebook = read(path)
    assert path.stat().st_size < 300_000
    assert notebook == stripped(read(path)), "run `make notebooks`, which strips what it keeps"
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert outputs and "widgets" not in notebook.metadata
    text = json.dumps([{k: v for k, v in output.items() if k != "data"} | {
        "data": {kind: value for kind, value in output.get("data", {}).items() if kind != "image/png"}
    } for output in outputs])  # fmt: skip
    assert WIDGETS not in text and not re.search(r"\b0x[0-9a-f]|/(?:home|root|tmp|Users|work)/|tmp[a-z0-9_]{8}\b", text)
    assert not re.search(r"it/s|runtime|per_second|\d+ seconds", text)
    assert all(dpi(output.data["image/png"]) <= 100.1 for output in outputs if "image/png" in output.get("data", {}))


@every_notebook
def test_it_opens_with_what_a_reader_can_do_after_it_and_ends_with_what_to_try(path: Path) -> None:
    first, *_, last = read(path).cells
    assert first.source.startswith("# ") and "After this notebook you can " in first.source
    assert last.source.startswith("## What to try next\n\n- ")


@every_notebook
def test_a_figure_is_in_its_first_third(path: Path) -> None:
    cells = read(path).cells
    drawn = [
        number
        for number, cell in enumerate(cells)
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {}) or "<svg" in output.get("data", {}).get("text/html", "")
    ]
    assert drawn and drawn[0] < len(cells) / 3


@every_notebook
def test_it_imports_only_public_names(path: Path) -> None:
    imports = [node for node in ast.walk(_tree(path)) if isinstance(node, ast.ImportFrom)]
    names = [f"{node.module}.{alias.name}" for node in imports for alias in node.names]
    assert not [name for name in names if "._" in name or name.endswith(".*")]


@every_notebook
def test_it_defines_nothing(path: Path) -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    defined = [ast.unparse(node)[:60] for node in ast.walk(_tree(path)) if isinstance(node, kinds)]
    assert not defined, f"{path.name} defines {defined}; a notebook is prose and calls, put code into the packages"


@every_notebook
def test_it_runs_and_gives_the_outputs_that_are_kept(path: Path, tmp_path: Path, python: KernelManager) -> None:
    notebook = executed(path, tmp_path, python, is_short=path.name not in LEARNT)
    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert not any(output.output_type == "error" for output in shown)
    drawn = sum("image/png" in output.get("data", {}) for output in shown)
    assert drawn == sum(cell.splitlines()[-1].startswith(FIGURES) for cell in _code(path))
    assert shape(stripped(notebook)) == shape(read(path)), "run `make notebooks` to keep what it gives now"


def test_a_notebook_of_other_outputs_has_another_shape() -> None:
    kept = read(NOTEBOOKS[0])
    assert shape(kept) == shape(read(NOTEBOOKS[0])) != shape(cleared(read(NOTEBOOKS[0])))
    (stream,) = (
        output for cell in kept.cells for output in cell.get("outputs", []) if "Students: " in output.get("text", "")
    )
    before = shape(kept)
    stream.text = stream.text.replace("student  seed", "student  run")
    assert shape(kept) != before
