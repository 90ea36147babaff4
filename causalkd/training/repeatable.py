"""Order and draws of a training that do not depend on where it was interrupted, nor on the number of processes."""

from collections.abc import Callable, Iterator

import torch
from torch.utils.data import DataLoader, Sampler
from transformers import TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices


class LengthGroups(LengthGroupedSampler):
    """transformers' order of rows by length, drawn from a generator of its own.

    transformers draws it from the generator of the process, which dropout moves on: a training that is continued within
    a later epoch would read rows of the first one again, and processes would read some rows twice and others never.

    Args:
        given: transformers' sampler, which knows the lengths and the size of a batch.
        seed: The seed of the order of the first epoch.
        epoch: The number of the epoch that begins.
    """

    def __init__(self, given: LengthGroupedSampler, seed: int, epoch: Callable[[], int]) -> None:
        super().__init__(given.batch_size, lengths=given.lengths)
        self._seed, self._epoch = seed, epoch

    def __iter__(self) -> Iterator[int]:
        """The numbers of all rows."""
        generator = torch.Generator().manual_seed(self._seed + self._epoch())
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))


def repeatable(sampler: Sampler | None, args: TrainingArguments, epoch: Callable[[], int]) -> Sampler | None:
    """The sampler of a training; `LengthGroups` instead of transformers' own if rows are grouped by length."""
    if not isinstance(sampler, LengthGroupedSampler):
        return sampler
    return LengthGroups(sampler, args.seed if args.data_seed is None else args.data_seed, epoch)


def seeded(loader: DataLoader, args: TrainingArguments) -> DataLoader:
    """The loader of a training, which gets a generator of its own if its workers stay from epoch to epoch.

    A loader draws a number whenever it starts workers. Those that stay are started once, and once more after an
    interruption; drawn from the generator of the process, that number would move all later dropout.
    """
    if args.dataloader_persistent_workers:
        getattr(loader, "base_dataloader", loader).generator = torch.Generator().manual_seed(args.seed)
    return loader
