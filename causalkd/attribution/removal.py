"""F for texts without some of their tokens, and searches for the order of removal with the highest and lowest mean F.

Every removal that is known to be needed is computed in one go: those of all orders, and the tokens that a search tries
in both directions. None is computed twice.
"""

from dataclasses import dataclass
from itertools import permutations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from causalkd.attribution.targets import Target, Views, logits_at, view_values
from causalkd.models.hooks.forward import Inputs
from causalkd.models.hooks.hooked_model import HookedModel

# The longest text of a forward is at most this many times as long as the shortest: padding costs as much as a token.
_LONGER = 2
_FEW = 6
"""All orders of up to this many tokens are compared: that needs 63 removals, and a greedy search up to 40 of these."""


@dataclass(frozen=True, eq=False)
class Removal:
    """Items are the views of every row, one after the other; an order is a score for each position, highest first.

    Attributes:
        model: The model.
        inputs: A batch.
        views: The outputs to explain.
        can_go: The tokens that can be removed.
        counts: The tokens that are removed after each portion.
        positions: The largest number of positions of one forward, padding included.
    """

    model: HookedModel
    inputs: Inputs
    views: Views
    can_go: Bool[Tensor, "item pos"]
    counts: Int[Tensor, "portion item"]
    positions: int

    def whole(self) -> Float[Tensor, "item"]:
        """F of every item with all of its tokens."""
        return self.values(torch.arange(len(self.can_go), device=self.can_go.device), torch.zeros_like(self.can_go))

    def mean_values(self, orders: Float[Tensor, "order item pos"]) -> Float[Tensor, "order item"]:
        """F after each portion is removed, as a mean over portions; NaN for an item without any token to remove."""
        can_go = self.can_go.expand(orders.shape)
        gone = can_go[:, None] & (ranks(orders, can_go)[:, None] < self.counts[..., None])
        order, portion, item = self._steps().expand(gone.shape[:3]).nonzero(as_tuple=True)
        found = torch.full(gone.shape[:3], torch.nan, device=gone.device, dtype=torch.float64)
        found[order, portion, item] = self.values(item, gone[order, portion, item]).double()
        return found.nanmean(1)

    def search(self, whole: Float[Tensor, "item"]) -> Float[Tensor, "2 item pos"]:
        """The order with the lowest mean of F and that with the highest: among all of few tokens, greedily of more."""
        tokens = self.can_go.sum(-1)
        order = self._greedy(whole, self.can_go & (tokens > _FEW)[:, None])
        for number in tokens[(tokens > 0) & (tokens <= _FEW)].unique().tolist():
            item = (tokens == number).nonzero()[:, 0]
            order[:, item] = self._among_all(item, number)
        return order

    def _among_all(self, item: Int[Tensor, "some"], tokens: int) -> Float[Tensor, "2 some pos"]:
        """The two orders of items that all have this many tokens."""
        device = self.can_go.device
        every = torch.tensor(list(permutations(range(tokens))), device=device)
        # What is gone after each portion of an order is a number whose bits are the tokens.
        after = (2**every).cumsum(1)[:, self.counts[:, item[0]].unique() - 1]
        codes, place = after.unique(return_inverse=True)
        bits = (codes[:, None] >> torch.arange(tokens, device=device)) & 1
        position = self.can_go[item].nonzero()[:, 1].unflatten(0, (len(item), tokens))
        gone = self.can_go.new_zeros(len(item), len(codes), self.can_go.shape[1])
        gone.scatter_(2, position[:, None].expand(-1, len(codes), -1), bits.bool().expand(len(item), -1, -1))
        found = self.values(item.repeat_interleave(len(codes)), gone.flatten(0, 1)).double()
        means = found.unflatten(0, (len(item), len(codes)))[:, place].mean(-1)
        chosen = every[torch.stack([means.argmin(1), means.argmax(1)])]
        order = torch.zeros((2, len(item), gone.shape[2]), device=device, dtype=torch.float64)
        turn = torch.arange(tokens, 0, -1, device=device, dtype=torch.float64).expand(chosen.shape)
        return order.scatter(2, position.expand(chosen.shape).gather(2, chosen), turn)

    def _greedy(self, whole: Float[Tensor, "item"], can_go: Bool[Tensor, "item pos"]) -> Float[Tensor, "2 item pos"]:
        """Two greedy orders: a portion holds the tokens whose loss alone now lowers F most, and least."""
        sign = torch.tensor([1.0, -1.0], device=whole.device, dtype=torch.float64)
        order = torch.zeros((2, *can_go.shape), device=whole.device, dtype=torch.float64)
        gone = torch.zeros_like(order, dtype=torch.bool)
        for left, count in zip(range(len(self.counts), 0, -1), self.counts, strict=True):
            rest = can_go & ~gone
            way, item, pos = (rest & (gone.sum(-1) < count)[..., None]).nonzero(as_tuple=True)
            tried = gone[way, item]
            tried[torch.arange(len(item), device=item.device), pos] = True
            fall = torch.full(gone.shape, -torch.inf, device=whole.device, dtype=torch.float64)
            fall[way, item, pos] = (whole[item] - self.values(item, tried)).double() * sign[way]
            chosen = rest & (ranks(fall, rest) < (count - gone.sum(-1))[..., None])
            order = order.where(~chosen, left)
            gone = gone | chosen
        return order

    def values(self, item: Int[Tensor, "row"], gone: Bool[Tensor, "row pos"]) -> Float[Tensor, "row"]:
        """F of some items, each without some tokens; in float32 at least. Items given twice are computed once."""
        if not len(item):
            return torch.zeros(0, device=item.device)
        both, place = torch.cat([item[:, None], gone.long()], dim=1).unique(dim=0, return_inverse=True)
        item, gone = both[:, 0], both[:, 1:].bool()
        widths = self._widths()[item]
        by_width = widths.argsort(stable=True)
        found = [self._values(item[part], gone[part]) for part in _parts(by_width, widths, self.positions)]
        return torch.cat(found)[by_width.argsort()][place]

    def _widths(self) -> Int[Tensor, "item"]:
        """One more than the last position of each item's text; what is behind has no effect."""
        real = self.inputs["attention_mask"].bool()
        last = real.shape[1] - real.flip(1).long().argmax(1)
        return last.repeat(len(self.views.choice))

    def _values(self, item: Int[Tensor, "row"], gone: Bool[Tensor, "row pos"]) -> Float[Tensor, "row"]:
        row = item % len(self.inputs["input_ids"])
        width = int(self._widths()[item].max())
        given = {name: tensor[row, :width] for name, tensor in self.inputs.items()}
        given["attention_mask"] = given["attention_mask"].masked_fill(gone[:, :width], 0)
        position = None if self.views.position is None else self.views.position[row]
        view = Views(self.views.choice.flatten()[item][None], position)
        logits = self.model.run(given, logits_at=logits_at(view, width)).logits
        target: Target = "logit" if self.model.task == "regression" else "probability"
        return view_values(logits, view, target)[0]

    def _steps(self) -> Bool[Tensor, "portion item"]:
        """The portions that hold a token: a text of few tokens has fewer of them."""
        return self.counts.diff(dim=0, prepend=torch.zeros_like(self.counts[:1])) > 0


def _parts(by_width: Int[Tensor, "row"], widths: Int[Tensor, "row"], positions: int) -> list[Int[Tensor, "part"]]:
    """Rows that go through the model together, of similar width."""
    parts: list[list[int]] = []
    narrowest = 0
    for row, width in zip(by_width.tolist(), widths[by_width].tolist(), strict=True):
        if not parts or width > _LONGER * narrowest or (len(parts[-1]) + 1) * width > positions:
            parts.append([])
            narrowest = width
        parts[-1].append(row)
    return [torch.tensor(part, device=widths.device) for part in parts]


def counts_of(tokens: Int[Tensor, "item"], portions: int) -> Int[Tensor, "portion item"]:
    """The tokens that are removed after each portion: the same share of every text, rounded up."""
    step = torch.arange(1, portions + 1, device=tokens.device)[:, None]
    return (step * tokens + portions - 1) // portions


def ranks(order: Float[Tensor, "*item pos"], among: Bool[Tensor, "*item pos"]) -> Int[Tensor, "*item pos"]:
    """The rank: 0 for the highest; among equals the earlier position is first, and those not `among` come last."""
    # Sorting by scores first and then by membership keeps infinities of the scores apart from what is left out.
    by_score = order.argsort(dim=-1, descending=True, stable=True)
    members = among.gather(-1, by_score).long().argsort(dim=-1, descending=True, stable=True)
    return by_score.gather(-1, members).argsort(dim=-1)
