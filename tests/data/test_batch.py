import pytest
import torch

from causalkd.data.batch import Batch, pad, pad_answerable, pad_labels
from causalkd.data.positions import Positions

EXAMPLES = [
    {"input_ids": [5, 6, 7], "token_type_ids": [0, 0, 1], "label": [1, -100, 2]},
    {"input_ids": [8], "token_type_ids": [1], "label": [3]},
]


@pytest.mark.parametrize(
    ("side", "ids", "mask", "types", "labels"),
    [
        (
            "right",
            [[5, 6, 7], [8, 9, 9]],
            [[1, 1, 1], [1, 0, 0]],
            [[0, 0, 1], [1, 0, 0]],
            [[1, -100, 2], [3, -100, -100]],
        ),
        (
            "left",
            [[5, 6, 7], [9, 9, 8]],
            [[1, 1, 1], [0, 0, 1]],
            [[0, 0, 1], [0, 0, 1]],
            [[1, -100, 2], [-100, -100, 3]],
        ),
    ],
)
def test_rows_are_filled_up_on_the_side_asked_for(side, ids, mask, types, labels) -> None:
    inputs = pad(EXAMPLES, 9, side)
    assert {name: tensor.tolist() for name, tensor in inputs.items()} == {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": types,
    }
    assert pad_labels(EXAMPLES, side).tolist() == labels


def test_labels_keep_their_kind() -> None:
    def labels(*values):
        return pad_labels([{"input_ids": [1], "label": value} for value in values])

    assert labels(1, 2).tolist() == [1, 2] and labels(1, 2).dtype == torch.long
    assert labels(0.5, 2.0).dtype == torch.float32
    assert labels((1, 4), (-100, -100)).tolist() == [[1, 4], [-100, -100]]
    assert pad_labels([{"input_ids": [1]}]) is None


@pytest.mark.parametrize("told", [{"null": 0}, {}])
def test_the_ends_of_an_answer_are_where_padding_moves_them(told) -> None:
    """And two labels of a row are not, where its label is a pair of 0 and 1."""
    rows = [
        {"input_ids": [5] * size, "label": label, **told}
        for size, label in ((4, (2, 3)), (2, (0, 1)), (1, (-100,) * 2))
    ]
    assert pad_labels(rows, "right").tolist() == [[2, 3], [0, 1], [-100, -100]]
    assert pad_labels(rows, "left").tolist() == [[2, 3], [2, 3], [-100, -100]]
    flags = [{"input_ids": [5] * size, "label": label} for size, label in ((4, (1, 1)), (2, (0, 1)))]
    assert pad_labels(flags, "left").tolist() == [[1, 1], [0, 1]]
    for kind in (list, torch.tensor):
        ends = [{"input_ids": [5] * size, "label": kind(label)} for size, label in ((4, (2, 3)), (2, (0, 1)))]
        assert pad_labels(ends, "left").tolist() == [[2, 3]] * 2
    numbers = [{"input_ids": [5] * size, "label": (0.5, 2.5)} for size in (4, 2)]
    assert pad_labels(numbers, "left").tolist() == [[0.5, 2.5]] * 2


def test_no_examples_and_examples_without_tokens_are_errors() -> None:
    with pytest.raises(ValueError, match="no examples was asked for; give at least one"):
        pad([], 0)
    with pytest.raises(ValueError, match=r"without any token, by index in the batch: \[1\]"):
        pad([{"input_ids": [1]}, {"input_ids": []}], 0)


def make_batch(**parts) -> Batch:
    inputs = pad(EXAMPLES, 9)
    positions = {"middle": Positions.from_masks(torch.eye(2, 3).bool(), torch.eye(2, 3).bool())}
    return Batch(inputs, pad_labels(EXAMPLES), positions=positions, index=torch.tensor([4, 2]), **parts)


@pytest.mark.parametrize(
    "parts",
    [{}, {"source": pad(EXAMPLES[:1] * 2, 9, "left")}, {"source_rows": torch.tensor([1, 0])}],
    ids=lambda p: str([*p]),
)
def test_a_batch_survives_as_nested_tensors(parts: dict) -> None:
    batch = make_batch(**parts)
    nested = batch.to("cpu").tensors()
    assert all(part is not None for part in nested.values())
    again = Batch.from_tensors(nested)
    assert torch.equal(again.inputs["input_ids"], batch.inputs["input_ids"])
    assert torch.equal(again.labels, batch.labels) and torch.equal(again.index, batch.index)
    assert torch.equal(again.positions["middle"].valid, batch.positions["middle"].valid)
    assert (again.source is None, again.source_rows is None) == (batch.source is None, batch.source_rows is None)
    assert again.tensors().keys() == nested.keys()


def test_counted_is_true_at_real_tokens_of_base_and_of_source() -> None:
    plain = make_batch()
    assert plain.counted.tolist() == [[True, True, True], [True, False, False]]
    with pytest.raises(ValueError, match="this batch has no sources; collate it with position policies"):
        plain.source_counted  # noqa: B018
    assert make_batch(source_rows=torch.tensor([1, 0])).source_counted.tolist() == plain.counted.flip(0).tolist()
    assert make_batch(source=pad(EXAMPLES[1:] * 2, 9)).source_counted.tolist() == [[True], [True]]


def test_a_batch_has_one_kind_of_source() -> None:
    with pytest.raises(ValueError, match="`source` or `source_rows`, not both"):
        make_batch(source=pad(EXAMPLES, 9), source_rows=torch.tensor([1, 0]))


def test_numbers_are_those_of_the_examples_or_of_the_rows():
    inputs = pad(EXAMPLES, 9)
    assert Batch(inputs, index=torch.tensor([4, 2])).numbers.tolist() == [4, 2]
    assert Batch(inputs).numbers.tolist() == [0, 1]


def test_what_another_collator_made_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match=r"input_ids, labels, so another collator .*data_collator=PairingCollator"):
        Batch.from_tensors({"input_ids": torch.ones(1, 2), "labels": torch.ones(1)})


def test_a_batch_of_another_collator_is_told_what_to_use():
    with pytest.raises(
        ValueError, match=r"the keys input_ids, labels, so another collator than PairingCollator .*ExampleSet"
    ):
        Batch.from_tensors({"input_ids": torch.ones(2, 3), "labels": torch.ones(2)})


def test_an_answer_may_lie_in_the_context_or_be_none():
    rows = [
        {"input_ids": [2, 7, 3, 8, 9, 3], "segments": {"first": (1, 2), "second": (3, 5)}, "null": 0},
        {"input_ids": [2, 7, 3], "segments": {"first": (1, 2)}, "null": 0},  # a window without context
    ]
    assert pad_answerable(rows).int().tolist() == [[1, 0, 0, 1, 1, 0], [1, 0, 0, 0, 0, 0]]
    assert pad_answerable(rows, "left").int().tolist() == [[1, 0, 0, 1, 1, 0], [0, 0, 0, 1, 0, 0]]
    assert pad_answerable(EXAMPLES) is None
    batch = Batch(pad(rows, 0), answerable=pad_answerable(rows))
    assert Batch.from_tensors(batch.tensors()).to("cpu").answerable.equal(batch.answerable)
