"""What is kept of a notebook's outputs, and what makes the shape of two the same."""

import base64
import io

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from tests.notebooks.store import WIDGETS, cleared, dpi, shape, stripped

TABLE = "student  seed\n─────────────\nkd          0\n"


def _notebook(*outputs):
    cell = new_code_cell("f()", execution_count=3, metadata={"execution": {"iopub.status.busy": "2026"}})
    cell.outputs = list(outputs)
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python 3"},
        "language_info": {"name": "python", "version": "3.11.9"},
        "widgets": {"state": 1},
    }
    return new_notebook(cells=[new_markdown_cell("# A"), cell], metadata=metadata)


def _text(text, name="stdout"):
    return new_output("stream", name=name, text=text)


def _shown(data, kind="display_data"):
    return new_output(kind, data=data, metadata={"image/png": {"width": 300}})


def test_what_belongs_to_one_machine_or_moment_is_not_kept():
    found = stripped(
        _notebook(
            _text("10%|█ | 1/10\r", "stderr"),
            _text(f"{{'loss': 0.1}}\n{{'train_runtime': 3.2, 'train_steps_per_second': 9}}\n{TABLE}"),
            _text("output: /var/run/x/tmpab12_c9z/quickstart, <object at 0x7f00aabbcc>\n"),
            _shown({WIDGETS: {"model_id": "1"}, "text/plain": "bar"}),
            _shown({"text/html": "<progress value='1'></progress> [1/1 00:35]", "text/plain": "<HTML object>"}),
            _shown({"text/html": '<iframe src="tmpab12_c9z/report.html">', "text/plain": "<IFrame at 0x7f00aabbcc>"}),
        )
    )
    cell = found.cells[1]
    assert (cell.execution_count, cell.metadata) == (None, {}) and set(found.metadata) == {
        *("kernelspec", "language_info")
    }
    logs, place, page = cell.outputs
    assert logs.text == f"{{'loss': 0.1}}\n{TABLE}"
    assert place.text == "output: folder/quickstart, <object at 0x>\n"
    assert page.data == {"text/html": '<iframe src="folder/report.html">', "text/plain": "<IFrame at 0x>"}
    assert page.metadata == {}
    nbformat.validate(found)
    assert stripped(nbformat.from_dict(found)) == found


def test_a_figure_is_kept_in_fewer_bytes_at_its_resolution_and_only_once():
    file = io.BytesIO()
    steep = Image.linear_gradient("L")
    Image.merge("RGB", (Image.radial_gradient("L"), steep, steep.rotate(90))).save(file, "PNG", dpi=(100, 100))
    png = base64.b64encode(file.getvalue()).decode()
    (kept,) = stripped(_notebook(_shown({"image/png": png}))).cells[1].outputs
    smaller = kept.data["image/png"]
    assert len(smaller) < len(png) and abs(dpi(smaller) - 100) < 0.1
    (again,) = stripped(_notebook(_shown({"image/png": smaller}))).cells[1].outputs
    assert again.data["image/png"] == smaller


def test_other_numbers_have_the_same_shape_and_other_columns_or_kinds_do_not():
    kept = shape(_notebook(_text(TABLE), _shown({"image/png": "aaaa", "text/plain": "<Figure 300x200>"})))
    assert kept == [[], [("stream", "stdout", "student seed"), ("display_data", "image/png")]]
    again = _notebook(_text(TABLE.replace("0\n", "1\n")), _shown({"image/png": "b", "text/plain": "<Figure 9x9>"}))
    assert shape(again) == kept
    others = (
        _notebook(_text(TABLE.replace("seed", "sd"))),
        _notebook(_text(TABLE), _shown({"text/plain": "None"}, "execute_result")),
        cleared(_notebook(_text(TABLE))),
    )
    assert all(shape(other) != kept for other in others)


def test_the_heads_of_a_table_in_html_are_in_the_shape():
    one, other = (
        shape(_notebook(_shown({"text/html": f"<table><thead><tr><th scope='col'>{head}</th></tr></thead></table>"})))
        for head in ("accuracy", "seed")
    )
    assert one[1] == [("display_data", "text/html", "accuracy")] and one != other
