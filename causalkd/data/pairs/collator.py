"""The collator, from examples to batches: it draws the sources of the bases, and the positions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Dataset

from causalkd.data.batch import (
    Batch,
    Example,
    Inputs,
    NestedTensors,
    PaddingSide,
    pad,
    pad_answerable,
    pad_labels,
    questions_of,
)
from causalkd.data.lazy_batches import LazyBatches
from causalkd.data.masking import Masking
from causalkd.data.pairs.draw_positions import RowFacts, check_rows, draw_positions
from causalkd.data.pairs.position_policy import PositionPolicy
from causalkd.data.pairs.student_reading import with_student
from causalkd.data.positions import Positions
from causalkd.data.rng import Index, Stream, integers
from causalkd.data.token_mask import with_positions
from causalkd.errors import check_choice

Sources = Literal["batch", "dataset"]


class ExampleSet(Dataset[dict[str, Any]], Sequence[dict[str, Any]]):
    """Examples that know their number and the epoch, on which every draw depends; the data set of a Trainer.

    The caller must call `set_epoch`: accelerate does so in one process, but not where it shards a seedable sampler.
    """

    def __init__(self, examples: Sequence[Example]):
        if not len(examples):
            raise ValueError("the data set has no examples; there is nothing to run on. Check the split and the limit")
        self.examples = examples
        # In shared memory, so that loader processes that outlive an epoch see the next one.
        self._epoch = torch.zeros((), dtype=torch.long).share_memory_()

    @property
    def epoch(self) -> int:
        """The epoch for which examples are drawn."""
        return int(self._epoch)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, number: int) -> dict[str, Any]:  # type: ignore[override]
        number = range(len(self.examples))[number]
        return {**self.examples[number], "index": number, "epoch": self.epoch}

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch for which examples are drawn."""
        self._epoch.fill_(epoch)


@dataclass(frozen=True, eq=False)
class PairingCollator:
    """Turns rows of an `ExampleSet` into the tensors of a `Batch` with sources and positions.

    All randomness is a function of (seed, epoch, example number); see `causalkd.data.rng`. Site pairs with equal
    policies get equal positions. Raises ValueError, when it is built, if a policy does not suit some example.
    """

    examples: Sequence[Example]
    """The whole data set, from which sources are taken."""
    policies: Mapping[str, PositionPolicy]
    """The position policies by the name of the site pair; without any, batches have no sources."""
    pad_id: int
    """The token id of padding."""
    side: PaddingSide = "right"
    """The side on which rows are padded."""
    sources: Sources = "batch"
    """Whether a source is another row of the batch (its activations are then there already) or any other example."""
    group: int = 8
    """The size of the groups of consecutive rows from which in-batch sources come; batches that are cut between
    groups (e.g. over processes) have the same sources."""
    seed: int = 0
    masking: Masking | None = None
    """The corruption of base and source, for masked_lm; its labels replace the examples' own."""
    student_pad_id: int | None = None
    """The padding of a student's own tokens, if the examples have them (see `read_twice`); else None."""

    def __post_init__(self):
        check_choice("side", self.side, get_args(PaddingSide))
        check_choice("sources", self.sources, get_args(Sources))
        if self.group < 2:
            raise ValueError(f"group is {self.group}: a source is another row of the group; give 2 or more")
        if self.policies and self.sources == "dataset" and len(self.examples) < 2:
            raise ValueError(
                f"{len(self.examples)} examples: a source is another example than its base; give 2 or more"
            )
        for policy in set(self.policies.values()):
            _check_examples(policy, self.examples, self.masking is not None)

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> NestedTensors:
        """The batch of some rows of an `ExampleSet`, in their order.

        Raises ValueError for a batch of one row if sources come from the batch.
        """
        lacking = [name for name in ("index", "epoch") if name not in rows[0]]
        if lacking:
            raise ValueError(
                f"rows without {' and '.join(lacking)}, as a plain list or a datasets.Dataset has them, cannot be "
                "paired: their sources are drawn by the number of a row and the epoch. Give the trainer "
                "ExampleSet(examples) as its data set, with the examples this collator was made with"
            )
        index = torch.tensor([row["index"] for row in rows])
        epoch, host_index = rows[0]["epoch"], tuple(int(row["index"]) for row in rows)
        if not self.policies:
            inputs, labels, _ = self._pad(rows, index, epoch)
            answerable = pad_answerable(rows, self.side)
            batch = Batch(inputs, labels, index=index, host_index=host_index, answerable=answerable)
            return with_positions(self._read_twice(batch, rows)).tensors()
        if self.sources == "dataset":
            sources = dataset_sources(index, len(self.examples), self.seed, epoch)
            # The rows may be others than the collator's, such as those of an evaluation; their sources are its own.
            paired = self._pair(rows, index, sources, index, epoch)
            return with_positions(replace(paired, host_index=host_index)).tensors()
        source_rows = batch_sources(index, self.group, self.seed, epoch)
        inputs, labels, facts = self._pad(rows, index, epoch)
        positions = self._positions(facts, facts.rows(source_rows), index, epoch)
        answerable = pad_answerable(rows, self.side)
        batch = Batch(inputs, labels, None, source_rows, positions, index, host_index, answerable=answerable)
        return with_positions(self._read_twice(batch, rows, [rows[row] for row in source_rows.tolist()])).tensors()

    def pair(
        self, base: Int[Tensor, "batch"], source: Int[Tensor, "batch"], key: Int[Tensor, "batch"], epoch: int = 0
    ) -> Batch:
        """The batch of the examples numbered `base` with separate sources, numbered `source`.

        Positions are drawn by the numbers `key` instead of example numbers.
        """
        return self._pair([self.examples[number] for number in base.tolist()], base, source, key, epoch)

    def _pair(
        self,
        rows: Sequence[Example],
        base: Int[Tensor, "batch"],
        source: Int[Tensor, "batch"],
        key: Int[Tensor, "batch"],
        epoch: int,
    ) -> Batch:
        source_rows = [self.examples[number] for number in source.tolist()]
        inputs, labels, facts = self._pad(rows, base, epoch)
        source_inputs, source_labels, source_facts = self._pad(source_rows, source, epoch)
        positions = self._positions(facts, source_facts, key, epoch)
        answerable, questions = pad_answerable(rows, self.side), questions_of(rows, source_rows)
        batch = Batch(inputs, labels, source_inputs, None, positions, base, answerable=answerable, questions=questions)
        return self._read_twice(replace(batch, source_labels=source_labels), rows, source_rows)

    def in_order(self, size: int) -> LazyBatches:
        """Batches of `size` of the examples, in their order."""
        rows = ExampleSet(self.examples)
        return LazyBatches(len(rows), size, lambda here: Batch.from_tensors(self([rows[number] for number in here])))

    def of_pairs(
        self, base: Int[Tensor, "pairs"], source: Int[Tensor, "pairs"], key: Int[Tensor, "pairs"], size: int
    ) -> LazyBatches:
        """Batches of `size` of these pairs, in their order; see `pair`."""

        def make(rows: range) -> Batch:
            here = slice(rows.start, rows.stop)
            return self.pair(base[here], source[here], key[here])

        return LazyBatches(len(base), size, make)

    def _read_twice(self, batch: Batch, rows: Sequence[Example], sources: Sequence[Example] = ()) -> Batch:
        """The batch with the rows of a student with another tokenizer, if there is one."""
        if self.student_pad_id is None:
            return batch
        return with_student(batch, rows, sources, self.student_pad_id, self.side)

    def _pad(self, rows: Sequence[Example], index: Index, epoch: int) -> tuple[Inputs, Tensor | None, RowFacts]:
        inputs = pad(rows, self.pad_id, self.side)
        counted = inputs["attention_mask"].bool()
        named = any(policy.segments for policy in self.policies.values())
        segments = segment_spans(rows) if named else {}
        if self.masking is None:
            return inputs, pad_labels(rows, self.side), RowFacts(counted, None, segments)
        inputs, labels = self.masking.corrupt(inputs, self.seed, index, epoch)
        return inputs, labels, RowFacts(counted, labels >= 0, segments)

    def _positions(self, base: RowFacts, source: RowFacts, key: Index, epoch: int) -> dict[str, Positions]:
        policies = set(self.policies.values())
        drawn = {policy: draw_positions(policy, base, source, self.seed, key, epoch) for policy in policies}
        return {name: drawn[policy] for name, policy in self.policies.items()}


def batch_sources(index: Int[Tensor, "batch"], group: int, seed: int, epoch: int = 0) -> Int[Tensor, "batch"]:
    """Another row for each row of a batch, from its group of `group` consecutive ones, with equal probability.

    The last group may be smaller; one row that is left over alone takes the row before it. `index` holds the example
    numbers of the rows. Raises ValueError for a batch of one row.
    """
    rows = torch.arange(len(index))
    if len(rows) < 2:
        raise ValueError(
            "a batch of one row was given, but sources come from the other rows of the batch. Use a batch size that "
            "leaves no single row over, drop the last incomplete batch, or draw sources from the data set"
        )
    start = rows // group * group
    size = (len(rows) - start).clamp(max=group)
    shift = 1 + integers(seed, epoch, index, Stream.SOURCE_EXAMPLE, (size - 1).clamp(min=1))
    return torch.where(size == 1, rows - 1, start + (rows - start + shift) % size)


def dataset_sources(index: Int[Tensor, "batch"], size: int, seed: int, epoch: int = 0) -> Int[Tensor, "batch"]:
    """Another example for each example, of the `size` examples, with equal probability."""
    shift = 1 + integers(seed, epoch, index, Stream.SOURCE_EXAMPLE, torch.full_like(index, size - 1))
    return (index + shift) % size


def evaluation_pairs(
    examples: Sequence[Example], n: int, seed: int, first: int = 0
) -> tuple[Int[Tensor, "pairs"], Int[Tensor, "pairs"]]:
    """Numbers of the base and the source of `n` distinct pairs of two examples, without the first `first` of them.

    Every example is base equally often, give or take one. Raises ValueError if there are not that many pairs.
    """
    size = len(examples)
    check_number(n, size)
    generator = np.random.default_rng(seed)
    order, offset = (
        torch.from_numpy(generator.permutation(size)),
        torch.from_numpy(generator.integers(size - 1, size=size)),
    )
    number = torch.arange(first, n)
    place, turn = number % size, number // size
    return order[place], order[(place + 1 + (offset[place] + turn) % (size - 1)) % size]


def check_number(n: int, size: int) -> None:
    """Raises ValueError if this many examples do not make `n` pairs, or `n` is not positive."""
    if not 1 <= n <= size * (size - 1):
        raise ValueError(
            f"{n} pairs were asked for, but {size} examples make {size * max(size - 1, 0)} pairs of two different "
            "ones. Give at most that"
        )


def pair_batches(
    examples: Sequence[Example],
    pairs: tuple[Int[Tensor, "pairs"], Int[Tensor, "pairs"]],
    policies: Mapping[str, PositionPolicy],
    batch_size: int,
    pad_id: int,
    side: PaddingSide = "right",
    seed: int = 0,
    masking: Masking | None = None,
    student_pad_id: int | None = None,
) -> Sequence[Batch]:
    """Batches of pairs with separate sources, for verification; positions are drawn by the number of the pair.

    Each batch is made on access, so that a million pairs need the memory of one batch. Raises ValueError as
    `PairingCollator` does.
    """
    collator = PairingCollator(
        examples, policies, pad_id, side, "dataset", seed=seed, masking=masking, student_pad_id=student_pad_id
    )
    return collator.of_pairs(*pairs, torch.arange(len(pairs[0])), batch_size)


def segment_spans(examples: Sequence[Example]) -> dict[str, Int[Tensor, "batch 2"]]:
    """The segments of every example by name, as ranges of tokens; (-1, -1) if an example lacks one."""
    segments = [example.get("segments", {}) for example in examples]
    names = sorted({name for named in segments for name in named})
    return {name: torch.tensor([tuple(named.get(name, (-1, -1))) for named in segments]) for name in names}


def _check_examples(policy: PositionPolicy, examples: Sequence[Example], masked: bool) -> None:
    """Raise one ValueError if the policy cannot be applied to some example."""
    if policy.policy not in ("masked", "segments", "explicit"):
        return
    counted = _lengths_as_mask(examples)
    facts = RowFacts(counted, counted if masked else None, segment_spans(examples))
    check_rows(policy, facts, torch.arange(len(examples)), "base")
    check_rows(policy, facts, torch.arange(len(examples)), "source")


def _lengths_as_mask(examples: Sequence[Example]) -> Tensor:
    lengths = torch.tensor([len(example["input_ids"]) for example in examples])
    return torch.arange(int(lengths.max())) < lengths[:, None]
