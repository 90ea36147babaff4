"""Runs the notebooks and keeps their outputs, without anything of one machine: `python -m tests.notebooks.store`."""

import base64
import io
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import nbformat
from jupyter_client import KernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from PIL import Image

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SECONDS = 900
"""For one cell, on a busy machine; a whole notebook takes less than a minute on an idle one."""
WIDGETS = "application/vnd.jupyter.widget-view+json"
_BEGINNING = """
%reset -f
import gc, os, tempfile
gc.collect()
gc.freeze()  # every training looks for garbage, and would look in all that is imported
os.chdir({folder!r})
tempfile.tempdir = {folder!r}
del gc, os, tempfile
"""
_LENGTH = re.compile(r"\b((?:\w+_)?(?:steps|limit)(?:=|: ))(\d[\d_]{2,})\b")
"""The steps and rows of trainings, from a hundred on: fewer are of other things, such as a path of gradients."""
_OF_A_MACHINE = (
    (re.compile(r"(?:/[\w.+-]+)+/tmp[a-z0-9_]{8}\b"), "folder"),  # made by tempfile
    (re.compile(r"\btmp[a-z0-9_]{8}\b"), "folder"),
    (re.compile(r"\b0x[0-9a-f]{6,}\b"), "0x"),
)
_TIMED = re.compile(r"^.*(?:train_runtime|_per_second).*\n?", flags=re.MULTILINE)
"""What transformers prints of a training that is done."""


def read(path: Path) -> NotebookNode:
    """A notebook."""
    return nbformat.read(path, as_version=4)


def executed(path: Path, folder: Path, kernel: KernelManager, *, is_short: bool = False) -> NotebookNode:
    """A notebook after all its cells have run, from a cleared namespace, in a folder where it may write.

    Args:
        path: The notebook.
        folder: Where it may write.
        kernel: The Python that runs it.
        is_short: Whether it trains a fifth of its steps on a fifth of its rows: the numbers are then others.
    """
    notebook = cleared(read(path))
    for cell in notebook.cells:
        if is_short and cell.cell_type == "code":
            cell.source = _LENGTH.sub(lambda found: f"{found[1]}{int(found[2]) // 5}", cell.source)
    notebook.cells.insert(0, new_code_cell(_BEGINNING.format(folder=str(folder))))
    client = NotebookClient(notebook, km=kernel, timeout=SECONDS, coalesce_streams=True)
    try:
        client.execute()
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
    del notebook.cells[0]
    return notebook


@contextmanager
def kernel(folder: Path) -> Iterator[KernelManager]:
    """A Python that runs notebooks, one after another, so that what they import is read from disk once.

    It writes its own files below a folder and asks the network for nothing.
    """
    path = os.pathsep.join(part for part in (str(ROOT), os.environ.get("PYTHONPATH", "")) if part)
    own = {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_RUNTIME_DIR": str(folder / "jupyter")}
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(cwd=str(folder), env={**os.environ, **own, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"})
    try:
        yield manager
    finally:
        manager.shutdown_kernel(now=True)


def cleared(notebook: NotebookNode) -> NotebookNode:
    """The notebook without outputs."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def stripped(notebook: NotebookNode) -> NotebookNode:
    """The notebook with the outputs that are the same wherever it runs: no widgets, bars, times, paths or addresses."""
    notebook.metadata = nbformat.from_dict({key: notebook.metadata[key] for key in ("kernelspec",)})
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [kept for output in cell.outputs if (kept := _kept(output)) is not None]
            cell.execution_count = None
    return notebook


def shape(notebook: NotebookNode) -> list[list[tuple[str, ...]]]:
    """For each cell the kinds of its outputs, each with the heads of its tables."""
    return [[_shape(output) for output in cell.get("outputs", [])] for cell in notebook.cells]


def dpi(png: str) -> float:
    """The resolution of a figure, in the form that a notebook keeps."""
    return Image.open(io.BytesIO(base64.b64decode(png))).info["dpi"][0]


def _smaller(png: str) -> str:
    """A figure in 256 colours, which look the same in a third of the bytes."""
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    if image.mode == "P":
        return png
    paper = Image.new("RGBA", image.size, "white")
    paper.alpha_composite(image.convert("RGBA"))
    file = io.BytesIO()
    paper.convert("RGB").quantize(256).save(file, "PNG", optimize=True, dpi=image.info["dpi"])
    return base64.b64encode(file.getvalue()).decode()


def _kept(output: NotebookNode) -> NotebookNode | None:
    if output.output_type == "stream":
        output.text = _TIMED.sub("", _anywhere(output.text))
        return output if output.name == "stdout" and output.text.strip() else None
    if WIDGETS in output.data or "<progress" in output.data.get("text/html", ""):
        return None
    output.metadata = {}
    if output.output_type == "execute_result":
        output.execution_count = None
    for kind, content in output.data.items():
        if isinstance(content, str):
            output.data[kind] = _smaller(content) if kind == "image/png" else _anywhere(content)
    return output


def _anywhere(text: str) -> str:
    for pattern, instead in _OF_A_MACHINE:
        text = pattern.sub(instead, text)
    return text


def _shape(output: NotebookNode) -> tuple[str, ...]:
    if output.output_type == "stream":
        return ("stream", output.name, *_heads(output.text))
    found = [kind for kind in sorted(output.data) if kind != "text/plain"] or ["text/plain"]
    heads = re.findall(r"<th(?:\s[^>]*)?>(.*?)</th>", output.data.get("text/html", ""))
    return (output.output_type, *found, *heads)


def _heads(text: str) -> Iterator[str]:
    """The lines above the rules of tables, without the space between columns."""
    lines = text.splitlines()
    for head, rule in pairwise(lines):
        if re.fullmatch(r"[-─ |:]{8,}", rule) and head.strip():
            yield " ".join(head.split())


def main(names: list[str]) -> None:
    """Runs and stores the notebooks whose names begin so; all of them if no name is given."""
    for path in NOTEBOOKS:
        if not names or path.name.startswith(tuple(names)):
            began = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder, kernel(Path(folder)) as python:
                notebook = stripped(executed(path, Path(folder), python))
            nbformat.write(notebook, path)
            print(f"{path.name}: {time.perf_counter() - began:.0f} s, {path.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
