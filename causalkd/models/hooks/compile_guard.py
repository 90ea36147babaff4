"""Hooks and `torch.compile`: a compiled module silently ignores hooks that were added after it was compiled."""

from collections.abc import Iterable

from torch import nn

from causalkd.models.hooks.hook_points import HookPoint


def refuse_compiled(model: nn.Module, block: nn.Module, hook_point: HookPoint) -> None:
    """Refuses a hook point whose hook a compiled module would ignore: its own module, or one around it.

    The input and output of a block that is compiled inside the list of blocks can be hooked.

    Raises:
        ValueError: A module is compiled; the message says which, and how to compile blocks that can be hooked.
    """
    way_out = "compile whole blocks in the model's list: blocks[i] = torch.compile(blocks[i])"
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
        # The result of torch.compile runs its own hooks, but none of those inside.
        if around._compiled_call_impl is not None or (depth < len(parts) and _stands_compiled(around)):
            path = ".".join(parts[:depth])
            raise ValueError(f"{path} is compiled, which would leave out the hook at {hook_point.name}; {way_out}")


def refuse_compiled_blocks(model: nn.Module, blocks: Iterable[nn.Module]) -> None:
    """Refuses to differentiate a compiled model twice: torch compiles no second derivative.

    Raises:
        ValueError: A module is compiled; the message says which.
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
    if "_orig_mod" in dict(block.named_children()):  # the result of torch.compile on the block
        return True
    return hasattr(vars(block).get("forward"), "_torchdynamo_orig_callable")  # or on its forward
