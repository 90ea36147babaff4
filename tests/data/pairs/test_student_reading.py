"""A batch in the tokens of a student with another tokenizer."""

from dataclasses import replace

import torch

from causalkd.data.batch import Batch, check_one_reading, row_of
from causalkd.data.pairs.collator import ExampleSet, PairingCollator, pair_batches
from causalkd.data.pairs.position_policy import PositionPolicy
from tests.data.tiny_tokenizers import bert_like, gpt2_like
from tests.data.two_readings import FIRST, SECOND, padded, pairs_read_twice, tags_read_twice
from tests.objectives.two_tokenizers import as_rows

POLICIES = {"all": PositionPolicy(policy="all"), "again": PositionPolicy(policy="all")}


def _collator(made, **options) -> PairingCollator:
    return PairingCollator(made.examples, POLICIES, 0, student_pad_id=1, **options)


def _rows(made) -> list[dict]:
    examples = ExampleSet(made.examples)
    return [examples[number] for number in range(len(examples))]


def test_the_student_reads_its_own_tokens_and_padding() -> None:
    made = pairs_read_twice(bert_like(), gpt2_like(), (64, 24))
    for side in ("left", "right"):
        batch = Batch.from_tensors(replace(_collator(made, side=side), policies={})(_rows(made)))
        tokenizer = padded(gpt2_like())
        stock = tokenizer(
            list(FIRST), list(SECOND), truncation="longest_first", max_length=24, padding=True, padding_side=side,
            return_tensors="pt",
        )  # fmt: skip
        own = batch.read_by("student")
        real = stock["attention_mask"].bool()
        assert torch.equal(own.counted, real) and batch.read_by("teacher") is batch
        assert torch.equal(own.inputs["input_ids"], stock["input_ids"].where(real, 1))
        assert own.labels is not None and own.labels.tolist() == [0, 1, 0, 1] and not own.positions


def test_sources_are_the_same_rows_and_equal_policies_have_equal_positions() -> None:
    made = pairs_read_twice(bert_like(), gpt2_like())
    batch = Batch.from_tensors(_collator(made)(_rows(made)))
    own = batch.read_by("student")
    assert batch.source_rows is not None and own.source_rows is not None
    assert torch.equal(batch.source_rows, own.source_rows) and own.source is None
    for read in (batch, own):
        read.positions["all"].check(read.counted, read.source_counted)
        assert torch.equal(read.positions["all"].base, read.positions["again"].base)
    separate = _collator(made).pair(torch.arange(4), batch.source_rows, torch.arange(4)).read_by("student")
    assert separate.source is not None
    assert torch.equal(separate.positions["all"].source, own.positions["all"].source)
    rows = own.inputs["input_ids"][batch.source_rows]
    width = separate.source["input_ids"].shape[1]
    assert torch.equal(rows[:, :width], separate.source["input_ids"])


def test_taggers_have_as_many_labels_in_both_readings_and_batches_come_back_from_tensors() -> None:
    made = tags_read_twice(bert_like(), gpt2_like(), (9, 64))
    nested = _collator(made)(_rows(made))
    batch = Batch.from_tensors(nested).to("cpu")
    own = batch.read_by("student")
    assert own.labels is not None and batch.labels is not None and own.labels.shape == own.counted.shape
    assert own.labels[own.labels >= 0].tolist() == batch.labels[batch.labels >= 0].tolist()
    assert own.predicting["labelled"].tolist() == (own.labels >= 0).flatten().nonzero()[:, 0].tolist()
    assert torch.equal(own.inputs["input_ids"], nested["student"]["inputs"]["input_ids"])


def test_labels_in_another_order_are_so_in_both_readings() -> None:
    made = tags_read_twice(bert_like(), gpt2_like())
    turned = made.in_label_order(made.labels[::-1])
    one, other = (Batch.from_tensors(_collator(each)(_rows(each))) for each in (made, turned))
    for before, after in ((one, other), (one.read_by("student"), other.read_by("student"))):
        assert before.labels is not None and after.labels is not None
        assert torch.equal((1 - before.labels).where(before.labels >= 0, before.labels), after.labels)


def test_pairs_of_verification_are_read_twice() -> None:
    made = pairs_read_twice(bert_like(), gpt2_like())
    pairs = torch.tensor([0, 1, 2]), torch.tensor([3, 2, 1])
    batches = pair_batches(made.examples, pairs, POLICIES, 2, 0, student_pad_id=1)
    found = [row for batch in batches for row in as_rows(batch.read_by("student"))]
    assert found == [gpt2_like()(FIRST[number], SECOND[number])["input_ids"] for number in (0, 1, 2)]


def test_a_row_as_each_model_reads_it() -> None:
    (row, *_), plain = pairs_read_twice(bert_like(), gpt2_like()).examples, {"input_ids": [1]}
    assert row_of(row, "student") is row["student"] and row_of(row, "teacher") is row
    assert row_of(plain, "student") is plain
    check_one_reading(Batch({"input_ids": torch.ones(1, 1), "attention_mask": torch.ones(1, 1)}), "a search")
