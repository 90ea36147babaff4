"""Interchange accuracy as its definition says it: row by row, two forwards, one hook."""

from collections.abc import Sequence

from torch import Tensor, nn

from causalkd.data.batch import Batch


def counterfactual_class(model: nn.Module, block: nn.Module, batch: Batch, row: int, pair: str) -> int:
    """The class predicted for one row when the block's output takes the source's values at the pair's positions."""
    return int(_counterfactual_logits(model, block, batch, row, pair)[0].argmax())


def counterfactual_tokens(
    model: nn.Module, block: nn.Module, batch: Batch, row: int, pair: str, at: Sequence[int]
) -> list[int]:
    """The tokens that a causal LM predicts at some positions of one row, after the same intervention."""
    logits = _counterfactual_logits(model, block, batch, row, pair)[0]
    return [int(logits[position - 1].argmax()) for position in at]


def _counterfactual_logits(model: nn.Module, block: nn.Module, batch: Batch, row: int, pair: str) -> Tensor:
    base, source = ({k: v[row : row + 1] for k, v in inputs.items()} for inputs in (batch.inputs, batch.source))
    drawn, seen = batch.positions[pair], {}
    with _hook(block, lambda output: seen.setdefault("source", output.clone())):
        model(**source)

    def intervene(output):
        for to, origin, valid in zip(drawn.base[row], drawn.source[row], drawn.valid[row], strict=True):
            if valid:
                output[0, to] = seen["source"][0, origin]
        return output

    with _hook(block, lambda output: intervene(output.clone())):
        return model(**base).logits


def plain_class(model: nn.Module, batch: Batch, row: int) -> int:
    """The class predicted for one row."""
    return int(model(**{k: v[row : row + 1] for k, v in batch.inputs.items()}).logits.argmax())


class _hook:
    def __init__(self, module, change):
        self.module, self.change = module, change

    def __enter__(self):
        self.handle = self.module.register_forward_hook(lambda module, args, output: self.change(output))

    def __exit__(self, *error):
        self.handle.remove()
