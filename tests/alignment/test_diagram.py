from xml.etree import ElementTree

from causalkd.alignment.diagram import PairDrawing, diagram
from causalkd.alignment.spec import Alignment

TWO = Alignment.from_yaml("""
name: a <b> & c
positions: {policy: all}
pairs:
  - {name: low, teacher: [{layer: 1}], student: [{layer: 0}]}
  - name: high
    teacher: [{layer: 4}, {layer: 3, component: mlp_output}]
    student: [{layer: 2, component: mlp_output}]
""")


def _parts(alignment, tag):
    return ElementTree.fromstring(alignment._repr_html_()).findall(tag)


def test_each_side_reaches_up_to_its_highest_layer_and_each_pair_is_drawn():
    assert len(_parts(TWO, "rect")) == 5 + 3
    lines = _parts(TWO, "line")
    assert len(lines) == 1 + 2 and len({line.get("stroke") for line in lines}) == 2
    words = [text.text for text in _parts(TWO, "text")]
    assert "a <b> & c: teacher" in words and "low" in words and "high (block_output, mlp_output)" in words


def test_lines_begin_and_end_at_their_layers_and_layer_zero_is_lowest():
    boxes = [(float(box.get("x")), float(box.get("y")) + 9) for box in _parts(TWO, "rect")]
    teacher, student = ([y for x, y in boxes if x == side] for side in sorted({x for x, _ in boxes}))
    assert teacher == sorted(teacher, reverse=True) and teacher[0] == student[0]
    ends = [(float(line.get("y1")), float(line.get("y2"))) for line in _parts(TWO, "line")]
    assert ends == [(teacher[1], student[0]), (teacher[4], student[2]), (teacher[3], student[2])]


def test_a_notebook_shows_it_and_reads_it_aloud():
    sites = (
        ([(1, "block_output")], [(0, "block_output")]),
        ([(4, "block_output"), (3, "mlp_output")], [(2, "mlp_output")]),
    )
    shown = diagram("a <b> & c", [PairDrawing(name, *side) for name, side in zip(("low", "high"), sites, strict=True)])
    assert shown == TWO._repr_html_()
    assert ElementTree.fromstring(shown).get("aria-label") == (
        "Alignment a <b> & c: low, block_output 1 to block_output 0; high, block_output 4, mlp_output 3 to mlp_output 2"
    )


def test_an_alignment_without_pairs_is_drawn_without_layers():
    assert not _parts(TWO.model_copy(update={"pairs": ()}), "rect")
