"""Hooks and `torch.compile`: a compiled module leaves out hooks that come after it was compiled, and says nothing."""

from collections.abc import Iterable

from torch import nn

from causalkd.models.hooks.hook_points import HookPoint


def refuse_compiled(model: nn.Module, block: nn.Module, hook_point: HookPoint) -> None:
    """Refuses a place whose hook a compiled module would leave out: its own, or one around it.

    What enters and leaves a block that stands compiled in the list of blocks can be hooked.

    Raises:
        ValueError: Says what is compiled, and how to compile what can be hooked.
    """
    way_out = "compile whole blocks where they stand: blocks[i] = torch.compile(blocks[i])"
    if model._compiled_call_impl is not None:
        raise ValueError(
            f"the model is compiled as a whole, which would leave out the hook at {hook_point.name}; {way_out}"
        )
    if hook_point.is_inside and _stands_compiled(block):
        raise ValueError(
            f"block {hook_point.layer} is compiled, which would leave out the hook at {hook_point.name}; "
            "choose block_input or "
            "block_output, or leave this block as it is"
        )
    parts, around = hook_point.module.split("."), model
    for depth, name in enumerate(parts, 1):
        around = around.get_submodule(name)
        # What torch.compile returns runs its own hooks, but none of those inside.
        if around._compiled_call_impl is not None or (depth < len(parts) and _stands_compiled(around)):
            path = ".".join(parts[:depth])
            raise ValueError(f"{path} is compiled, which would leave out the hook at {hook_point.name}; {way_out}")


def refuse_compiled_blocks(model: nn.Module, blocks: Iterable[nn.Module]) -> None:
    """Refuses to differentiate a compiled model twice: torch compiles no second derivative.

    Raises:
        ValueError: Says what is compiled.
    """
    if model._compiled_call_impl is not None:
        raise ValueError("the model is compiled, and torch compiles no second derivative; leave it as it is")
    for layer, block in enumerate(blocks):
        if block._compiled_call_impl is not None or _stands_compiled(block):
            raise ValueError(
                f"block {layer} is compiled, and torch compiles no second derivative; leave the student's blocks as "
                "they are, or train without attribution maps"
            )


def _stands_compiled(block: nn.Module) -> bool:
    return "_orig_mod" in dict(block.named_children())  # what torch.compile returns
