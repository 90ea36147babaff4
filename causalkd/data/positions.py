"""The token positions at which an interchange intervention reads and writes, in each row of a batch."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Positions:
    """The positions of an intervention in each row: the k-th of base receives the activation of the k-th of source."""

    base: Int[Tensor, "batch k"]
    source: Int[Tensor, "batch k"]
    valid: Bool[Tensor, "batch k"]
    """False marks filler, which is never used and whose indices are 0."""
    is_checked: bool = False
    """Whether they are known to be right, so that no check must wait for the device."""

    @classmethod
    def from_masks(
        cls, base_mask: Bool[Tensor, "batch base_pos"], source_mask: Bool[Tensor, "batch source_pos"]
    ) -> "Positions":
        """Pair the k-th True of a row's base mask with the k-th True of its source mask, in ascending order.

        Raises ValueError if a row's two masks select different numbers of positions.
        """
        counts, source_counts = base_mask.sum(1), source_mask.sum(1)
        unequal = (counts != source_counts).nonzero()[:, 0].tolist()
        if unequal:
            rows = "; ".join(f"row {row}: {counts[row]} base, {source_counts[row]} source" for row in unequal)
            raise ValueError(
                f"base and source masks select different numbers of positions ({rows}). Positions correspond one "
                "to one within a row: select equally many in both."
            )
        (base, valid), (source, _) = _true_places(base_mask), _true_places(source_mask)
        return cls(base, source, valid)

    @classmethod
    def from_sources(cls, sources: Int[Tensor, "batch base_pos"]) -> "Positions":
        """The positions of base that receive an activation, ascending.

        Args:
            sources: For each position of base the position of source whose activation it receives; -1 for none.
        """
        base, valid = _true_places(sources >= 0)
        return cls(base, sources.gather(1, base).where(valid, 0), valid)

    def sources(self, width: int) -> Int[Tensor, "batch base_pos"]:
        """The reverse of `from_sources`, for rows of base of a number of tokens."""
        none = torch.full((len(self.base), width), -1, device=self.base.device)
        return none.scatter_reduce(1, self.base, self.source.where(self.valid, -1), "amax")

    def to(self, device: torch.device | str) -> "Positions":
        """The same positions on a device."""
        return Positions(self.base.to(device), self.source.to(device), self.valid.to(device), self.is_checked)

    def swapped(self) -> "Positions":
        """The positions of the reverse intervention, in which source receives the activations of base."""
        return Positions(self.source, self.base, self.valid, self.is_checked)

    def rows(self, index: Int[Tensor, "rows"] | Bool[Tensor, "batch"]) -> "Positions":
        """The positions of some rows, by number or by mask."""
        return Positions(self.base[index], self.source[index], self.valid[index], self.is_checked)

    def check(
        self, base_counts: Bool[Tensor, "batch base_pos"], source_counts: Bool[Tensor, "batch source_pos"]
    ) -> None:
        """Raise one ValueError unless every valid position is a real token, and each base position is written once.

        The masks are true at real tokens.
        """
        faults = []
        for side, positions, counts in (("base", self.base, base_counts), ("source", self.source, source_counts)):
            inside = (positions >= 0) & (positions < counts.shape[1])
            real = counts.gather(1, positions.where(inside, 0)) & inside
            for row in (self.valid & ~real).any(1).nonzero()[:, 0].tolist():
                wrong = positions[row][self.valid[row] & ~real[row]].tolist()
                faults.append(f"row {row}: {side} positions {wrong} (the row has {int(counts[row].sum())} real tokens)")
        filler = -1 - torch.arange(self.base.shape[1], device=self.base.device)
        ordered = self.base.where(self.valid, filler).sort(1).values
        for row in (ordered[:, 1:] == ordered[:, :-1]).any(1).nonzero()[:, 0].tolist():
            faults.append(
                f"row {row}: base positions {self.base[row][self.valid[row]].tolist()} name one position twice"
            )
        if faults:
            raise ValueError(
                "positions of an interchange must be real tokens, not padding and not past the end, and a base "
                "position receives one value:\n  " + "\n  ".join(faults)
            )


def _true_places(mask: Bool[Tensor, "batch pos"]) -> tuple[Int[Tensor, "batch k"], Bool[Tensor, "batch k"]]:
    """The positions of each row where the mask is true, ascending, and 0 as filler; and the mask of non-filler."""
    counts = mask.sum(1)
    width = int(counts.max()) if len(counts) else 0
    valid = torch.arange(width, device=counts.device) < counts[:, None]
    return mask.int().argsort(dim=1, descending=True, stable=True)[:, :width].where(valid, 0), valid
