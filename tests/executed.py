"""What a pass executes, counted instead of timed: which blocks run forward and backward, and how many bytes live."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.profiler import ProfilerActivity, profile

from causalkd.models.hooks.hooked_model import HookedModel


@dataclass
class Executed:
    """Numbers of blocks in the order in which they ran."""

    forward: list[int] = field(default_factory=list)
    """Entered; a block that a read leaves half-way counts."""
    backward: list[int] = field(default_factory=list)

    def forget(self) -> None:
        self.forward.clear()
        self.backward.clear()


@contextmanager
def blocks_of(model: HookedModel) -> Iterator[Executed]:
    """Watches a model's own blocks; what stands in for a block while a pass is resumed is none of them."""
    executed = Executed()

    def enter(number: int) -> Callable[..., None]:
        return lambda module, args: executed.forward.append(number)

    def leave(number: int) -> Callable[..., None]:
        def watch(module: object, args: object, output: Tensor) -> None:
            if output.requires_grad:
                output.register_hook(lambda gradient: executed.backward.append(number))

        return watch

    handles = [block.register_forward_pre_hook(enter(number)) for number, block in enumerate(model.blocks)]
    handles += [block.register_forward_hook(leave(number)) for number, block in enumerate(model.blocks)]
    try:
        yield executed
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def blocks_named(kind: str) -> Iterator[list[int]]:
    """Watches the blocks of one class in every model, also those made meanwhile: the rows of each that is entered."""
    rows: list[int] = []

    def enter(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if type(module).__name__ == kind:
            rows.append(len(args[0]))

    handle = register_module_forward_pre_hook(enter)
    try:
        yield rows
    finally:
        handle.remove()


@dataclass(frozen=True)
class Allocated:
    """Memory of a step in bytes."""

    peak: int
    """The most that lives at one time, above what lived before."""
    sizes: tuple[int, ...]
    """The total of all allocations."""

    def at_least(self, size: int) -> int:
        """How many allocations are as large."""
        return sum(each >= size for each in self.sizes)


def allocated(step: Callable[[], object]) -> Allocated:
    """What torch allocates for a step on the processor, from its profiler."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    assert profiler.profiler is not None and profiler.profiler.kineto_results is not None
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    live, peak, sizes = 0, 0, []
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
        if event.nbytes() > 0:
            sizes.append(event.nbytes())
    return Allocated(peak, tuple(sizes))
