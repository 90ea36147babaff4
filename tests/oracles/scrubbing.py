"""The expected loss of scrubbing one depth, as its definition says it: every row with every choice of stand-ins."""

import itertools

import torch
from torch.nn import functional


def expected_loss(model, layer, carries, examples, values, labels):
    """The mean cross-entropy over rows of its mean over all stand-ins of every segment and all rows for the rest."""
    block = model.blocks[layer]
    _, clean = _run(model, block, examples)
    losses = []
    for number, example in enumerate(examples):
        agreeing = [
            [other for other, value in enumerate(values) if all(value[n] == values[number][n] for n in names)]
            for names in carries.values()
        ]
        states = []
        for rest, *stand_ins in itertools.product(range(len(examples)), *agreeing):
            states.append(clean[rest].clone())
            for segment, other in zip(carries, stand_ins, strict=True):
                start, stop = example["segments"][segment]
                states[-1][start:stop] = clean[other][start:stop]
        logits, _ = _run(model, block, [example] * len(states), torch.stack(states))
        losses.append(functional.cross_entropy(logits, torch.tensor([labels[number]] * len(states))))
    return float(torch.stack(losses).mean())


def _run(model, block, examples, states=None):
    seen = []

    def look(module, args, output):
        seen.append(output.clone())
        return output if states is None else states

    handle = block.register_forward_hook(look)
    given = {name: torch.tensor([each[name] for each in examples]) for name in ("input_ids", "token_type_ids")}
    logits = model.model(**given).logits
    handle.remove()
    return logits, seen[0]
