"""HookedModel: a stock Hugging Face model whose hook points have names, can be read and can be replaced."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from causalkd.errors import check_choice
from causalkd.models.adapters import TableAdapter, adapter_for, is_causal
from causalkd.models.heads import check_head
from causalkd.models.hooks import hook_functions as hook_calls
from causalkd.models.hooks.compile_guard import refuse_compiled
from causalkd.models.hooks.find_hook_points import blocks_of_layers, candidate_hook_points
from causalkd.models.hooks.forward import ForwardOutput, Inputs, SourceActivations
from causalkd.models.hooks.gradient_checkpointing import in_every_forward, is_repeated
from causalkd.models.hooks.hook_functions import Hook, PassThrough, Stop
from causalkd.models.hooks.hook_names import named_hook_points, nearest_tensor
from causalkd.models.hooks.hook_points import COMPONENTS, HookPoint, absent
from causalkd.models.hooks.measure import measured
from causalkd.models.hooks.model_inputs import complete, forward_options, stock_inputs
from causalkd.models.hooks.repeated_blocks import BlocksByLayer
from causalkd.models.hooks.split_head import SplitHead
from causalkd.models.plain_weights import plain_model
from causalkd.task_types import Task

Role = Literal["teacher", "student"]


class HookedModel:
    """A stock Hugging Face model with TransformerLens' hook points, and hooks that leave nothing behind.

    A teacher is frozen: its forward passes run in eval mode and without a graph, whatever the mode of the model is.
    A student's forward passes follow the mode of its model.

    Args:
        model: A stock model with a head.
        tokenizer: The tokenizer that belongs to it; None if inputs are made elsewhere.
        task: The task of the head.
        role: `teacher` or `student`.
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None = None, *, task: Task, role: Role
    ) -> None:
        check_choice("role", role, get_args(Role))
        check_head(model, task)
        self.model, self.tokenizer = model, tokenizer
        self.task: Task = task
        self.role: Role = role
        self.adapter = adapter_for(model)
        self.architecture = type(model).__name__
        blocks = self.adapter.translate_transformer_lens_path("blocks")
        self.layers = BlocksByLayer(model, blocks, blocks_of_layers(self.adapter, model))
        self.n_layers = len(self.layers)
        self.n_heads: int = self.adapter.cfg.n_heads
        self.width: int = self.adapter.cfg.d_model
        self.entries: int | None = None  # the number of vocabulary entries that have a logit: see `share_entries`
        self.decodes = is_causal(self.adapter, model)
        self.options: Mapping[str, bool] = forward_options(model)
        self._hook_points, self._body, self._returned, hidden_width = measured(
            model, blocks, self.layers.calls, candidate_hook_points(self.adapter, model), self.options
        )
        self.hidden_width: int = hidden_width or self.width  # of the last hidden states, which OPT-350m projects
        self._head = SplitHead(model, task, self.options)
        if role == "teacher":
            model.requires_grad_(False)
            model.eval()

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied and pickled as its arguments, and measured again: no file can name an adapter's class."""
        kind = partial(type(self), task=self.task, role=self.role)
        return kind, (self.model, self.tokenizer), {"entries": self.entries}

    def __repr__(self) -> str:
        return f"HookedModel({self.architecture}, {self.role}, {self.n_layers} layers × {self.width})"

    @property
    def blocks(self) -> nn.ModuleList:
        """The stock model's own list of blocks; shorter than `layers` if layers share a block."""
        return self.layers.stock

    @property
    def vocabulary(self) -> int:
        """The present number of vocabulary entries, including those that are only padding."""
        return self.model.config.get_text_config().vocab_size

    @property
    def training(self) -> bool:
        """Whether forward passes draw dropout; a teacher's never do."""
        return self.role == "student" and self.model.training

    def hook_points(self) -> tuple[HookPoint, ...]:
        """Every named hook point with its width, in the order in which a forward pass reaches them."""
        return self._hook_points

    def hook_point(self, component: str, layer: int) -> HookPoint:
        """The hook point of a component in a layer.

        Raises:
            ValueError: There is no such component or layer; the message lists those that exist.
        """
        for hook_point in self._hook_points:
            if (hook_point.component, hook_point.layer) == (component, layer):
                return hook_point
        if component not in COMPONENTS:
            raise ValueError(f"component {component!r} does not exist; {nearest_tensor(component)}")
        raise ValueError(absent(component, layer, self.architecture, self._hook_points))

    @contextmanager
    def hooks(self, hooks: Iterable[tuple[HookPoint, Hook]]) -> Iterator[None]:
        """Calls each function with the (batch, pos, width) tensor at its hook point; a returned tensor replaces it.

        Hooks at the same hook point run in the given order. All are gone when the block ends, however it ends; those
        inside a checkpointed block come back when backward repeats that block.

        Raises:
            ValueError: A block is compiled or checkpointed in a way that leaves hooks out.
        """
        shapes: dict[int, torch.Size] = {}
        plain: list[tuple[HookPoint, Hook]] = []
        repeated: dict[int, list[tuple[HookPoint, Hook]]] = {}
        with ExitStack() as stack:
            stack.enter_context(self.layers.apart())
            for hook_point, hook in hooks:
                block = self.layers[hook_point.layer]
                refuse_compiled(self.model, block, hook_point)
                if hook_point.is_inside and hook_point.side == "output":  # some flatten rows and positions, as OPT does
                    remember = partial(hook_calls.remember_shape, shapes, hook_point.layer)
                    stack.callback(block.register_forward_pre_hook(remember, with_kwargs=True).remove)
                inside = repeated.setdefault(hook_point.layer, []) if self._is_repeated(hook_point) else plain
                inside.append((hook_point, hook))
            stack.enter_context(self._registered(plain, shapes))
            for layer, group in repeated.items():
                stack.enter_context(in_every_forward(self.layers[layer], partial(self._registered, group, shapes)))
            yield

    @contextmanager
    def _registered(self, hooks: Iterable[tuple[HookPoint, Hook]], shapes: dict[int, torch.Size]) -> Iterator[None]:
        handles: list[Any] = []
        try:
            for hook_point, hook in hooks:
                handles.append(hook_calls.register(self.layers.module(hook_point), hook_point, hook, shapes))
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def resumed(self, layer: int, hidden: Float[Tensor, "batch pos width"]) -> Iterator[None]:
        """Forward passes start at the input of block `layer` with these hidden states; earlier blocks are not run.

        Pass-throughs replace these blocks meanwhile, because some architectures index the stock list by layer.
        """
        if not 0 <= layer <= self.n_layers:
            raise ValueError(f"a forward pass cannot start at block {layer}; there are blocks 0–{self.n_layers - 1}")
        with self.layers.apart():
            skipped = [self.layers[index] for index in range(layer)]
            entry = [(self.hook_point("block_input", 0), lambda _: hidden)] if layer == 0 else []
            try:
                for index in range(layer):
                    held = hidden if index == layer - 1 else None
                    self.layers[index] = PassThrough(skipped[index], held, self._returned[index])
                with self.hooks(entry):
                    yield
            finally:
                for index, block in enumerate(skipped):
                    self.layers[index] = block

    def run(
        self,
        inputs: Inputs,
        keep: Iterable[HookPoint] = (),
        forward: Callable[..., Any] | None = None,
        logits_at: Int[Tensor, " item"] | None = None,
        *,
        graph: bool = False,
    ) -> ForwardOutput:
        """One forward pass of the whole model.

        Args:
            inputs: Tensors for the stock forward; labels are never among them.
            keep: Hook points whose activations the run keeps.
            forward: A callable to use instead of the stock model, e.g. its distributed wrapper.
            logits_at: For a per-token head, the flat positions at which it predicts; everywhere without them.
            graph: Whether a teacher's run has a graph too, from a hook that inserts a tensor that requires a gradient.
        """
        inputs, kept, states = complete(inputs), dict[HookPoint, Tensor](), dict[int, Tensor]()
        hidden: list[Tensor] = []
        keep = tuple(dict.fromkeys(keep))
        entries = {hook_point.layer for hook_point in keep if hook_point.component == "block_input"}
        handle = self.model.get_submodule(self._body).register_forward_hook(
            partial(hook_calls.on_stack, hidden, logits_at)
        )

        recorders: list[tuple[HookPoint, Hook]] = [
            (hook_point, partial(hook_calls.keep_first, kept, hook_point)) for hook_point in keep
        ]
        if self.training:
            note = partial(hook_calls.note_state, states, self.generator_state)
            recorders += [(self.hook_point("block_input", layer), partial(note, layer)) for layer in entries]
        try:
            with self._mode(graph), self.hooks(recorders), self._head.left_out() as entered:  # these depend on it
                given = stock_inputs(self.model, inputs, decodes=self.decodes)
                output = (forward or self.model)(**given, **self.options)
                predicted = self._head.predictions(output, entered, self.entries)
        finally:
            handle.remove()
        predicted = predicted if logits_at is None else predicted.flatten(0, 1)
        return ForwardOutput(inputs, predicted, hidden[-1], kept, states, logits_at)

    def read(self, inputs: Inputs, hook_points: Sequence[HookPoint]) -> SourceActivations:
        """The activations at some hook points, from a forward pass that ends at the last of them.

        Costs the block-forwards up to the deepest hook point.
        """
        inputs, kept = complete(inputs), dict[HookPoint, Tensor]()
        last = max(hook_points, key=lambda hook_point: hook_point.depth)
        if self._is_repeated(last):  # such a block may not be left early
            hook_points = (*hook_points, self.hook_point("block_output", last.layer))
        recorders = [(p, partial(hook_calls.record, kept, p, len(hook_points))) for p in hook_points]
        try:
            with self._mode(), self.hooks(recorders):
                self.model(**stock_inputs(self.model, inputs, decodes=self.decodes), **self.options)
        except Stop:
            pass
        return SourceActivations(kept, inputs["attention_mask"])

    def run_with_cache(
        self, inputs: Inputs, names: Iterable[str] | None = None, *, gradients: bool = False
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Logits and the activations at the named hook points (by default all), by TransformerLens name.

        Args:
            inputs: Tensors for the stock forward.
            names: Names from `hook_points()` or their synonyms, which are then the names of the cache.
            gradients: Whether to keep the activations in the graph (only a student's; a teacher's has none).

        Raises:
            ValueError: A name is not a hook point of this model; the message lists every such name.
        """
        names = [hook_point.name for hook_point in self._hook_points] if names is None else names
        by_name = named_hook_points([names] if isinstance(names, str) else names, self._hook_points, self.architecture)
        with nullcontext() if gradients else torch.no_grad():
            run = self.run(inputs, by_name.values())
        return run.logits, {name: run.activations[hook_point] for name, hook_point in by_name.items()}

    def generator_state(self) -> Tensor:
        """The state of the generator that this model's dropout draws from."""
        device = self.model.device
        return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()

    def set_generator_state(self, state: Tensor) -> None:
        """Put the generator that dropout draws from into a state read before."""
        device = self.model.device
        if device.type == "cuda":
            torch.cuda.set_rng_state(state, device)
        else:
            torch.set_rng_state(state)

    def bridge(self) -> TransformerBridge:
        """A `TransformerBridge` over a copy of the weights, for exploration.

        It is a copy: booting renames the parameters, sets eager attention and trains split copies of fused weights.

        Raises:
            ValueError: TransformerLens has no adapter of its own for this architecture.
        """
        if isinstance(self.adapter, TableAdapter):
            raise ValueError(f"TransformerLens has no adapter for {self.architecture}; use run_with_cache instead")
        twin, tokenizer = copy.deepcopy((self.model, self.tokenizer))
        twin.set_attn_implementation("eager")
        return build_bridge_from_module(twin, self.architecture, hf_config=twin.config, tokenizer=tokenizer)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a stock checkpoint, adapters merged, and the tokenizer if any; it loads without causalkd, unchanged."""
        plain_model(self.model).save_pretrained(folder)
        if self.tokenizer is not None:
            self.tokenizer.save_pretrained(folder)

    def _is_repeated(self, hook_point: HookPoint) -> bool:
        # A teacher's forward passes are in eval mode, whatever mode its blocks are in.
        return hook_point.is_inside and self.role == "student" and is_repeated(self.layers[hook_point.layer])

    @contextmanager
    def _mode(self, graph: bool = False) -> Iterator[None]:
        if self.role == "student":
            yield
            return
        self.model.eval()
        with torch.set_grad_enabled(graph):
            yield
