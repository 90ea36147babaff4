"""Hooks and `torch.compile`: a compiled module leaves out hooks that come after it was compiled, and says nothing."""

from torch import nn

from causalkd.models.places import Place


def refuse_compiled(model: nn.Module, block: nn.Module, place: Place) -> None:
    """Refuses a place whose hook a compiled module would leave out.

    What enters and leaves a block that stands compiled in the list of blocks can be hooked.

    Raises:
        ValueError: Says what is compiled, and how to compile what can be hooked.
    """
    way_out = "compile whole blocks where they stand: blocks[i] = torch.compile(blocks[i])"
    if model._compiled_call_impl is not None:
        raise ValueError(f"the model is compiled as a whole, which would leave out the hook at {place.name}; {way_out}")
    if place.component == "token_embedding":
        return
    if block._compiled_call_impl is not None:
        raise ValueError(
            f"block {place.layer} is compiled in place, which would leave out the hook at {place.name}; {way_out}"
        )
    if place.is_inside and "_orig_mod" in dict(block.named_children()):  # what torch.compile returns
        raise ValueError(
            f"block {place.layer} is compiled, which would leave out the hook at {place.name}; choose block_input or "
            "block_output, or leave this block as it is"
        )
