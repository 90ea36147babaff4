"""The checks of one head of one architecture: four results, each right, refused with the reason, or wrong."""

import copy
import itertools
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from causalkd.alignment.interchange import interchange
from causalkd.alignment.resolve import resolve_site
from causalkd.alignment.spec import Site
from causalkd.models.hooks.hook_points import COMPONENTS, HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import load_model
from causalkd.models.plain_weights import plain_model
from causalkd.models.self_test import self_test
from causalkd.models.students import student_from_teacher
from causalkd.task_types import Task
from tests.architectures.inputs import BASE, PAIRS, SOURCE, all_logits, positions, real, stock_logits
from tests.architectures.training import METHODS, unmoved
from tests.architectures.zoo import tiny_of

COLUMNS = ("load", "interchange", "cut", "save", *METHODS)
RIGHT, WRONG, CRASHED, NONE = "right", "wrong", "crashed", "—"
_CLOSE = 1e-3
# State-space kernels round by where a tensor lies in memory.
_ROUNDING = 1e-5


class Cells(NamedTuple):
    """One row of the compatibility table."""

    model_type: str
    task: Task
    architecture: str
    components: tuple[str, ...]
    results: Mapping[str, str]


def check(model_type: str, task: Task, head: str | None = None) -> Cells:
    """Runs every check of one head of one architecture; `head` is its class, the usual one where it is None."""
    stock = tiny_of(model_type, task, head)
    name = type(stock).__name__
    try:
        model = HookedModel(stock, task=task, role="student")
        self_test(model)
    except ValueError as error:
        refusal = f"refused: {error}"
        return Cells(model_type, task, name, (), dict.fromkeys(COLUMNS, refusal))
    components = tuple(c for c in COMPONENTS if any(hook_point.component == c for hook_point in model.hook_points()))
    results = {
        "load": result_of(lambda: logits_are_stock(model)),
        "interchange": result_of(lambda: interchanges(model, components)),
        "cut": result_of(lambda: _cut(tiny_of(model_type, task, head), task)),
        "save": result_of(lambda: saved(model)),
        **dict(_trained(model, tiny_of(model_type, task, head, seed=1))),
    }
    return Cells(model_type, task, name, components, results)


def expected(task: Task) -> dict[str, str]:
    """The results of a head of which everything is right."""
    return {column: NONE if column in METHODS and task not in METHODS[column].tasks else RIGHT for column in COLUMNS}


def result_of(fault: Callable[[], str | None]) -> str:
    """Right, refused with the reason, wrong with the fault that was found, or crashed."""
    try:
        found = fault()
    except ValueError as error:
        return f"refused: {error}"
    except Exception as error:  # a crash is what this looks for
        return f"{CRASHED}: {type(error).__name__}: {error}"
    return RIGHT if found is None else f"{WRONG}: {found}"


def _trained(model: HookedModel, stock: PreTrainedModel) -> Iterator[tuple[str, str]]:
    """What one step of each method does to a student of other weights, taught by the model."""
    teacher = HookedModel(model.model, task=model.task, role="teacher")
    for name, method in METHODS.items():
        student = HookedModel(copy.deepcopy(stock), task=model.task, role="student")
        right = model.task in method.tasks
        yield name, result_of(partial(unmoved, name, teacher, student)) if right else NONE


def logits_are_stock(model: HookedModel) -> str | None:
    """How the logits differ from those of the stock model."""
    with torch.no_grad():
        found, expected = real(model.run(BASE).logits), stock_logits(model, BASE)
    apart = _apart(expected, found)
    return None if apart <= _ROUNDING else f"logits differ by {apart:.1g}"


def interchanges(model: HookedModel, components: Iterable[str], asked: int = 1) -> str | None:
    """The first component whose interchange is not that of plain hooks in value and gradient, or does nothing.

    In the layer asked for, or in the first that has the component.
    """
    plain = stock_logits(model, BASE)
    for component in components:
        layers = [hook_point.layer for hook_point in model.hook_points() if hook_point.component == component]
        layer = asked if asked in layers else layers[0]
        unit = "h.pos" if component.startswith("head_") else "pos"
        site = resolve_site(Site(layer=layer, component=component, unit=unit), model)
        columns = None if site.columns is None else site.columns.tolist()
        expected = real(_slow_interchange(model, site.hook_point, columns))
        found = real(interchange(model, [site], BASE, SOURCE, positions()).logits)
        for what, one, other in (
            ("logits", expected, found),
            ("gradients", _gradient(model, expected), _gradient(model, found)),
        ):
            apart = _apart(one, other)
            if not apart <= _CLOSE:
                return f"{what} of an interchange at {site.hook_point.name} differ by {apart:.1g}"
        if torch.equal(expected, plain):
            return f"an interchange at {site.hook_point.name} does nothing"
    return None


def _slow_interchange(model: HookedModel, hook_point: HookPoint, columns: list[int] | None) -> Tensor:
    """The counterfactual logits of two plain stock forwards."""
    given: list[Tensor] = []
    component = hook_point.component

    def keep(tensor: Tensor) -> None:
        given.append(tensor.clone())  # some models overwrite it

    def write(tensor: Tensor) -> Tensor:
        result = tensor.clone()
        for row, at, source in PAIRS:
            chosen = slice(None) if columns is None else columns
            result[row, at, chosen] = given[0][row, source, chosen]
        return result

    for function, inputs in ((keep, SOURCE), (write, BASE)):
        sharing = [p.layer for p in model.hook_points() if (p.module, p.component) == (hook_point.module, component)]
        turn = sharing.index(hook_point.layer)
        handle = _hook(model.model.get_submodule(hook_point.module), hook_point.side, _in_turn(turn, function))
        logits = all_logits(model, inputs)
        handle.remove()
    return logits


def _in_turn(turn: int, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function at one of the calls of a module in a forward pass, counted from 0: layers can share a block."""
    calls = itertools.count()
    return lambda *given: function(*given) if next(calls) == turn else None


def _hook(module: nn.Module, side: str, function: Callable[[Tensor], Tensor | None]) -> Any:
    def seen(tensor: Tensor) -> Tensor | None:
        result = function(tensor.reshape(*BASE["input_ids"].shape, -1))
        return None if result is None else result.reshape(tensor.shape)

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        result = seen(args[0] if args else kwargs["hidden_states"])
        if result is None:
            return None
        return ((result, *args[1:]), kwargs) if args else ((), kwargs | {"hidden_states": result})

    def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        if isinstance(output, Tensor):
            return seen(output)
        result = seen(output[0])
        return None if result is None else type(output)([result, *output[1:]])

    if side == "input":
        return module.register_forward_pre_hook(before, with_kwargs=True)
    return module.register_forward_hook(after)


def _cut(stock: PreTrainedModel, task: Task) -> str | None:
    """How a student of the first and the last block differs from the teacher with the others left out."""
    teacher = HookedModel(stock, task=task, role="teacher")
    student = student_from_teacher(teacher, layers=[0, teacher.n_layers - 1])
    student.model.eval()
    calls = teacher.layers.calls
    handles = [
        teacher.blocks[block].register_forward_hook(_in_turn(calls[:layer].count(block), _left_out), with_kwargs=True)
        for layer, block in enumerate(calls)
        if 0 < layer < teacher.n_layers - 1
    ]
    with torch.no_grad():
        expected, found = stock_logits(teacher, BASE), stock_logits(student, BASE)
    for handle in handles:
        handle.remove()
    apart = _apart(expected, found)
    return (
        None if apart <= _CLOSE else f"logits differ by {apart:.1g} from the teacher's with its other blocks left out"
    )


def _left_out(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> Any:
    hidden = args[0] if args else kwargs["hidden_states"]
    return hidden if isinstance(output, Tensor) else type(output)([hidden, *output[1:]])


def saved(model: HookedModel) -> str | None:
    """What differs in a model that was saved and read again."""
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        model.save_pretrained(folder)
        try:
            again = load_model(Path(folder), task=model.task, role="teacher")
        except ValueError as error:
            raise ValueError(str(error).replace(f"checkpoint {folder}", "the saved checkpoint")) from None
        weights = again.model.state_dict()
        changed = [
            name for name, one in plain_model(model.model).state_dict().items() if not torch.equal(one, weights[name])
        ]
        apart = _apart(model.run(BASE).logits, again.run(BASE).logits)
    if changed:
        return f"{changed[0]} comes back otherwise"
    return None if apart <= _ROUNDING else f"the logits of a saved model differ by {apart:.1g}"


def _gradient(model: HookedModel, logits: Tensor) -> Tensor:
    parameters = [parameter for parameter in model.model.parameters() if parameter.requires_grad]
    if not parameters:  # a teacher's
        return torch.zeros(1)
    weights = torch.linspace(-1, 1, logits.numel()).reshape(logits.shape)
    found = torch.autograd.grad((weights * logits).sum(), parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in found])


def _apart(expected: Tensor, found: Tensor) -> float:
    """How far two tensors are apart, relative to the first."""
    return ((found - expected).norm() / expected.norm().clamp_min(1e-12)).item()
