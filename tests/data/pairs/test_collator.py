import pytest
import torch
from torch.utils.data import DataLoader

from causalkd.data.batch import Batch
from causalkd.data.masking import Masking
from causalkd.data.pairs.collator import (
    ExampleSet,
    PairingCollator,
    batch_sources,
    dataset_sources,
    evaluation_pairs,
    pair_batches,
)
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.data.token_mask import of_sources

SPANS = PositionPolicy(policy="consecutive", fraction=0.4)
SCATTERED = PositionPolicy(policy="scattered", maximum=2)
SUBJECTS = PositionPolicy(policy="segments", segments=("subject",))


class _Epochs(list):
    """Collates rows to their epochs."""

    def __call__(self, rows):
        return [row["epoch"] for row in rows]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes")  # on a single processor
@pytest.mark.parametrize("context", ["fork", pytest.param("spawn", marks=pytest.mark.starts_python)])
def test_loader_processes_that_stay_learn_of_every_epoch(context):
    rows = ExampleSet([{"input_ids": [1]}] * 4)
    loader = DataLoader(
        rows, 2, collate_fn=_Epochs(), num_workers=2, persistent_workers=True, multiprocessing_context=context
    )
    for epoch in (0, 1, 2):
        rows.set_epoch(epoch)
        assert list(loader) == [[epoch, epoch]] * 2


MASKING = Masking(mask_id=4, special_ids=(0, 1, 2, 3, 4), vocabulary=200, share=0.3)
PAD = 0


def make_examples(count: int = 40) -> list[dict]:
    """Rows of 4 to 10 tokens; no two rows share a token other than the two special ones."""
    rows = []
    for number in range(count):
        length = 2 + number % 7
        ids = [2, *(5 + 8 * number + place for place in range(length)), 3]
        rows.append({"input_ids": ids, "label": number % 3, "segments": {"subject": (1, 1 + length // 2)}})
    return rows


def collate(numbers, epoch: int = 0, **settings) -> Batch:
    examples = make_examples()
    data = ExampleSet(examples)
    data.set_epoch(epoch)
    settings = {"policies": {"middle": SPANS}, "pad_id": PAD} | settings
    return Batch.from_tensors(PairingCollator(examples, **settings)([data[number] for number in numbers]))


def test_an_example_set_adds_number_and_epoch_and_changes_nothing() -> None:
    examples = make_examples(3)
    data = ExampleSet(examples)
    data.set_epoch(5)
    assert data[-1] == {**examples[2], "index": 2, "epoch": 5}
    assert len(data) == 3 and len(list(data)) == 3 and "index" not in examples[2]
    with pytest.raises(IndexError):
        data[3]


def test_no_examples_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"no examples; there is nothing to run on. Check the split and the limit"):
        ExampleSet([])


@pytest.mark.parametrize("rows", [2, 3, 8, 9, 15, 16, 17, 40])
@pytest.mark.parametrize("group", [2, 5, 8])
def test_a_source_is_another_row_of_the_group(rows: int, group: int) -> None:
    for seed in range(20):
        sources = batch_sources(torch.arange(rows) * 3, group, seed)
        assert ((0 <= sources) & (sources < rows) & (sources != torch.arange(rows))).all()
        alone = rows - 1 if rows % group == 1 else None
        same_group = sources // group == torch.arange(rows) // group
        assert [row for row in range(rows) if not same_group[row]] == ([] if alone is None else [alone])
        assert alone is None or sources[alone] == alone - 1


def test_every_other_row_of_the_group_is_equally_likely() -> None:
    sources = torch.stack([batch_sources(torch.arange(8) + 8 * batch, 8, 0) for batch in range(1500)])
    for row in range(8):
        shares = torch.bincount(sources[:, row], minlength=8) / 1500
        assert shares[row] == 0 and (shares[torch.arange(8) != row] - 1 / 7).abs().max() < 0.04


def test_whole_groups_have_the_same_sources_in_any_batch() -> None:
    index = torch.randperm(48, generator=torch.Generator().manual_seed(0))
    whole = batch_sources(index, 8, 3, epoch=2)
    for start in range(0, 48, 16):
        assert torch.equal(batch_sources(index[start : start + 16], 8, 3, epoch=2) + start, whole[start : start + 16])


def test_a_row_that_is_left_over_alone_takes_its_source_from_the_data() -> None:
    alone, expected = collate([4]), collate([4], sources="dataset")
    assert alone.source is not None and expected.source is not None and alone.source_rows is None
    assert torch.equal(alone.source["input_ids"], expected.source["input_ids"])
    with pytest.raises(ValueError, match=r"batch of one row.*drop the last incomplete batch, or draw sources from the"):
        batch_sources(torch.tensor([4]), 8, 0)
    assert collate([4], policies={}).source is None


def test_a_source_of_the_data_set_is_any_other_example() -> None:
    index = torch.arange(9).repeat(1000)
    counts = torch.zeros(9, 9)
    for epoch in range(1000):
        counts[torch.arange(9), dataset_sources(index[:9], 9, 1, epoch)] += 1
    off_diagonal = counts[~torch.eye(9).bool()] / 1000
    assert not counts.diagonal().any() and (off_diagonal - 1 / 8).abs().max() < 0.05
    assert dataset_sources(torch.tensor([0, 1]), 2, 0).tolist() == [1, 0]


@pytest.mark.parametrize("sources", ["batch", "dataset"])
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("masking", [None, MASKING], ids=["clean", "masked"])
def test_a_batch_holds_what_it_says(sources: str, side: str, masking: Masking | None) -> None:
    examples = make_examples()
    numbers = [3, 17, 22, 9, 30]
    policies = {"one": SPANS, "two": SCATTERED, "three": SUBJECTS, "again": SPANS}
    batch = collate(numbers, epoch=1, sources=sources, side=side, masking=masking, policies=policies)
    assert batch.index.tolist() == numbers and batch.positions.keys() == policies.keys()
    assert torch.equal(batch.positions["one"].base, batch.positions["again"].base)
    source_ids = batch.inputs["input_ids"][batch.source_rows] if batch.source is None else batch.source["input_ids"]
    for row, number in enumerate(numbers):
        own = batch.inputs["input_ids"][row][batch.counted[row]].tolist()
        if masking is None:
            assert own == examples[number]["input_ids"] and batch.labels[row] == number % 3
        else:
            labels = batch.labels[row][batch.counted[row]].tolist()
            restored = [label if label != -100 else token for token, label in zip(own, labels, strict=True)]
            assert restored == examples[number]["input_ids"]
        source = source_ids[row][batch.source_counted[row]].tolist()
        assert len(source) >= 4 and source != own
    for drawn in batch.positions.values():
        drawn.check(batch.counted, batch.source_counted)


@pytest.mark.parametrize("masking", [None, MASKING], ids=["clean", "masked"])
def test_draws_do_not_depend_on_the_batch(masking: Masking | None) -> None:
    settings = {"sources": "dataset", "masking": masking, "policies": {"middle": SPANS}}
    many, few = collate(range(20), epoch=3, **settings), collate([13, 2], epoch=3, **settings)
    for row, number in enumerate([13, 2]):
        for side in ("inputs", "source"):
            one, other = getattr(many, side), getattr(few, side)
            kept = one["input_ids"][number][one["attention_mask"][number].bool()]
            assert torch.equal(kept, other["input_ids"][row][other["attention_mask"][row].bool()])
        one, other = many.positions["middle"], few.positions["middle"]
        assert torch.equal(one.base[number][one.valid[number]], other.base[row][other.valid[row]])
        assert torch.equal(one.source[number][one.valid[number]], other.source[row][other.valid[row]])


def test_epoch_and_seed_change_the_draws_and_nothing_else_does() -> None:
    def drawn(**settings) -> tuple:
        batch = collate(range(16), masking=MASKING, **settings)
        return (batch.inputs["input_ids"], batch.source_rows, batch.positions["middle"].base)

    first = drawn()
    assert all(torch.equal(one, other) for one, other in zip(first, drawn(), strict=True))
    for other in (drawn(epoch=1), drawn(seed=1)):
        assert not any(a.shape == b.shape and torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_workers_draw_as_the_main_process_does() -> None:
    data = ExampleSet(make_examples())
    collator = PairingCollator(data, {"middle": SPANS}, PAD, sources="dataset", masking=MASKING)
    for epoch in (0, 1):
        data.set_epoch(epoch)
        batches = [list(DataLoader(data, 8, collate_fn=collator, num_workers=workers)) for workers in (0, 1)]
        for one, other in zip(*batches, strict=True):
            assert torch.equal(one["inputs"]["input_ids"], other["inputs"]["input_ids"])
            assert torch.equal(one["positions"]["middle"]["source"], other["positions"]["middle"]["source"])


def test_masked_positions_are_those_of_the_base_row() -> None:
    batch = collate(range(16), masking=MASKING, policies={"middle": PositionPolicy(policy="masked")})
    drawn = batch.positions["middle"]
    chosen = (batch.labels != -100).sum(1)
    assert torch.equal(drawn.valid.sum(1), torch.minimum(chosen, batch.source_counted.sum(1)))
    rows = torch.arange(16)[:, None].expand_as(drawn.base)[drawn.valid]
    assert (batch.labels[rows, drawn.base[drawn.valid]] != -100).all()


def test_policies_that_some_example_cannot_serve_are_refused_before_any_batch() -> None:
    examples = make_examples(5)
    examples[3]["segments"] = {"verb": (1, 2)}
    with pytest.raises(ValueError, match=r"example 3 has no segment 'subject'; it has verb"):
        PairingCollator(examples, {"middle": SUBJECTS}, PAD)
    with pytest.raises(ValueError, match=r"example 0 has no token 4: it has 4 tokens"):
        PairingCollator(examples, {"middle": PositionPolicy(policy="explicit", base=(4,), source=(0,))}, PAD)
    with pytest.raises(ValueError, match="only masked_lm corrupts its input"):
        PairingCollator(examples, {"middle": PositionPolicy(policy="masked")}, PAD)


def test_settings_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="group is 1: a source is another row of the group; give 2 or more"):
        PairingCollator(make_examples(), {}, PAD, group=1)
    with pytest.raises(ValueError, match="1 examples: a source is another example than its base; give 2 or more"):
        PairingCollator(make_examples(1), {"middle": SPANS}, PAD, sources="dataset")


@pytest.mark.parametrize("n", [1, 39, 40, 41, 100, 40 * 39])
def test_evaluation_pairs_are_distinct_and_use_every_base_equally(n: int) -> None:
    base, source = evaluation_pairs(make_examples(), n, seed=2)
    pairs = set(zip(base.tolist(), source.tolist(), strict=True))
    assert len(pairs) == n and all(b != s for b, s in pairs)
    uses = torch.bincount(base, minlength=40)
    assert uses.max() - uses.min() <= 1
    assert torch.equal(base, evaluation_pairs(make_examples(), n, seed=2)[0])
    assert n == 1560 or not torch.equal(source, evaluation_pairs(make_examples(), n, seed=3)[1])


def test_more_pairs_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"7 pairs were asked for, but 3 examples make 6 pairs of two different ones"):
        evaluation_pairs(make_examples(3), 7, 0)
    with pytest.raises(ValueError, match="1 examples make 0 pairs"):
        evaluation_pairs(make_examples(1), 1, 0)


def test_pair_batches_hold_the_pairs_in_order_and_draw_by_pair() -> None:
    examples = make_examples()
    pairs = evaluation_pairs(examples, 50, 0)
    policies = {"middle": SPANS, "late": SUBJECTS}
    sizes = {size: pair_batches(examples, pairs, policies, size, PAD, masking=MASKING) for size in (16, 7)}
    assert [len(batch.index) for batch in sizes[16]] == [16, 16, 16, 2]
    assert torch.equal(torch.cat([batch.index for batch in sizes[7]]), pairs[0])
    drawn = {
        size: [
            (drawn.base[row][drawn.valid[row]].tolist(), drawn.source[row][drawn.valid[row]].tolist())
            for batch in batches
            for row, drawn in ((row, batch.positions["middle"]) for row in range(len(batch.index)))
        ]
        for size, batches in sizes.items()
    }
    assert drawn[16] == drawn[7]
    for batch in sizes[16]:
        for policy in policies:
            batch.positions[policy].check(batch.counted, batch.source_counted)


def test_pair_batches_have_the_sources_named() -> None:
    examples = make_examples()
    pairs = torch.tensor([0, 5]), torch.tensor([9, 1])
    (batch,) = pair_batches(examples, pairs, {"middle": SPANS}, 8, PAD, side="left")
    for row, (base, source) in enumerate(zip(*pairs, strict=True)):
        assert batch.inputs["input_ids"][row][batch.counted[row]].tolist() == examples[base]["input_ids"]
        assert batch.source["input_ids"][row][batch.source_counted[row]].tolist() == examples[source]["input_ids"]
    assert batch.labels.tolist() == [0, 2] and batch.source_labels.tolist() == [0, 1]


def test_sources_that_are_masked_have_their_labels_of_which_positions_are_known() -> None:
    batch = collate(range(8), masking=MASKING, sources="dataset")
    assert batch.source is not None and batch.source_labels is not None
    hidden = batch.source_labels != -100
    assert hidden.any() and not (hidden & ~batch.source_counted).any()
    kept = batch.source["input_ids"].where(~hidden, batch.source_labels)  # the rows before they were masked
    known = [example["input_ids"] for example in make_examples()]
    assert all(row[real].tolist() in known for row, real in zip(kept, batch.source_counted, strict=True))
    assert of_sources(batch.predicting)["labelled"].tolist() == hidden.flatten().nonzero()[:, 0].tolist()


def test_rows_of_a_plain_list_are_refused_with_what_to_do() -> None:
    examples = make_examples(4)
    with pytest.raises(ValueError, match=r"rows without index and epoch, .*Give the trainer ExampleSet\(examples\)"):
        PairingCollator(examples, {"a": SPANS}, PAD)(examples)


def test_rows_of_a_plain_list_are_told_what_they_lack() -> None:
    rows = [{"input_ids": [1, 2, 3], "label": 0}, {"input_ids": [1, 2], "label": 1}]
    collator = PairingCollator(rows, {"spans": SPANS}, 0)
    with pytest.raises(
        ValueError, match=r"rows without index and epoch, as a plain list .* Give the trainer ExampleSet"
    ):
        collator(rows)
    assert "source_rows" in collator(list(ExampleSet(rows)))


@pytest.mark.parametrize("sources", ["batch", "dataset"])
def test_a_batch_holds_the_rows_of_the_data_set_whatever_the_collator_was_made_with(sources):
    own, others = ([{"input_ids": [first, 7, 8], "label": first}] * 4 for first in (5, 6))
    collator = PairingCollator(own, {"all": PositionPolicy(policy="all")}, 0, sources=sources)
    rows = ExampleSet(others)
    batch = Batch.from_tensors(collator([rows[number] for number in range(4)]))
    assert batch.inputs["input_ids"][:, 0].tolist() == batch.labels.tolist() == [6] * 4
    if sources == "dataset":
        assert batch.source["input_ids"][:, 0].tolist() == [5] * 4
