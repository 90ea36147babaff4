"""The checks of one head of one architecture: four results, each right, refused with the reason, or wrong."""

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from causalkd.alignment.interchange import interchange
from causalkd.alignment.resolve import resolve_site
from causalkd.alignment.spec import Site
from causalkd.data.positions import Positions
from causalkd.models.hooks.hook_points import COMPONENTS, HookPoint
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import load_model
from causalkd.models.self_test import self_test
from causalkd.models.students import student_from_teacher
from causalkd.task_types import Task
from tests.architectures.zoo import tiny_of
from tests.tiny import tiny_inputs

COLUMNS = ("load", "interchange", "cut", "save")
RIGHT, WRONG, CRASHED = "right", "wrong", "crashed"
_BASE, _SOURCE = tiny_inputs(3, 8), tiny_inputs(3, 8, seed=1)
# Row, base position, source position: the real ones of rows with 8, 7 and 6 tokens.
_PAIRS = ((0, 3, 5), (0, 6, 1), (1, 2, 2), (2, 0, 4), (2, 4, 3))
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


def check(model_type: str, task: Task) -> Cells:
    """Runs every check of one head of one architecture."""
    stock = tiny_of(model_type, task)
    name = type(stock).__name__
    try:
        model = HookedModel(stock, task=task, role="student")
        self_test(model)
    except ValueError as error:
        refusal = f"refused: {error}"
        return Cells(model_type, task, name, (), dict.fromkeys(COLUMNS, refusal))
    components = tuple(c for c in COMPONENTS if any(hook_point.component == c for hook_point in model.hook_points()))
    results = {
        "load": _result(lambda: _logits_are_stock(model)),
        "interchange": _result(lambda: _interchanges(model, components)),
        "cut": _result(lambda: _cut(model_type, task)),
        "save": _result(lambda: _saved(model)),
    }
    return Cells(model_type, task, name, components, results)


def _result(fault: Callable[[], str | None]) -> str:
    try:
        found = fault()
    except ValueError as error:
        return f"refused: {error}"
    except Exception as error:  # a crash is what this looks for
        return f"{CRASHED}: {type(error).__name__}: {error}"
    return RIGHT if found is None else f"{WRONG}: {found}"


def _logits_are_stock(model: HookedModel) -> str | None:
    with torch.no_grad():
        found, expected = model.run(_BASE).logits, _logits(model, _BASE)
    apart = _apart(_real(expected), _real(found))
    return None if apart <= _ROUNDING else f"logits differ by {apart:.1g}"


def _interchanges(model: HookedModel, components: Iterable[str]) -> str | None:
    """The first component whose interchange is not that of plain hooks in value and gradient, or does nothing."""
    plain = _logits(model, _BASE)
    for component in components:
        layers = [hook_point.layer for hook_point in model.hook_points() if hook_point.component == component]
        layer = 1 if 1 in layers else layers[0]
        unit = "h.pos" if component.startswith("head_") else "pos"
        site = resolve_site(Site(layer=layer, component=component, unit=unit), model)
        columns = None if site.columns is None else site.columns.tolist()
        expected = _real(_slow_interchange(model, site.hook_point, columns))
        found = _real(interchange(model, [site], _BASE, _SOURCE, _positions()).logits)
        for what, one, other in (
            ("logits", expected, found),
            ("gradients", _gradient(model, expected), _gradient(model, found)),
        ):
            apart = _apart(one, other)
            if not apart <= _CLOSE:
                return f"{what} of an interchange at {site.hook_point.name} differ by {apart:.1g}"
        if torch.equal(expected, _real(plain)):
            return f"an interchange at {site.hook_point.name} does nothing"
    return None


def _slow_interchange(model: HookedModel, hook_point: HookPoint, columns: list[int] | None) -> Tensor:
    """The counterfactual logits of two plain stock forwards."""
    given: list[Tensor] = []

    def keep(tensor: Tensor) -> None:
        given.append(tensor.clone())  # some models overwrite it

    def write(tensor: Tensor) -> Tensor:
        result = tensor.clone()
        for row, at, source in _PAIRS:
            chosen = slice(None) if columns is None else columns
            result[row, at, chosen] = given[0][row, source, chosen]
        return result

    for function, inputs in ((keep, _SOURCE), (write, _BASE)):
        handle = _hook(model.model.get_submodule(hook_point.module), hook_point.side, function)
        logits = _logits(model, inputs)
        handle.remove()
    return logits


def _hook(module: nn.Module, side: str, function: Callable[[Tensor], Tensor | None]) -> Any:
    def seen(tensor: Tensor) -> Tensor | None:
        result = function(tensor.reshape(*_BASE["input_ids"].shape, -1))
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


def _cut(model_type: str, task: Task) -> str | None:
    """How a student of the first and the last block differs from the teacher with the others left out."""
    teacher = HookedModel(tiny_of(model_type, task), task=task, role="teacher")
    student = student_from_teacher(teacher, layers=[0, teacher.n_layers - 1])
    student.model.eval()
    handles = [block.register_forward_hook(_left_out, with_kwargs=True) for block in list(teacher.blocks)[1:-1]]
    with torch.no_grad():
        expected, found = _real(_logits(teacher, _BASE)), _real(_logits(student, _BASE))
    for handle in handles:
        handle.remove()
    apart = _apart(expected, found)
    return (
        None if apart <= _CLOSE else f"logits differ by {apart:.1g} from the teacher's with its other blocks left out"
    )


def _left_out(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> Any:
    hidden = args[0] if args else kwargs["hidden_states"]
    return hidden if isinstance(output, Tensor) else type(output)([hidden, *output[1:]])


def _saved(model: HookedModel) -> str | None:
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        model.save_pretrained(folder)
        again = load_model(Path(folder), task=model.task, role="teacher")
        weights = again.model.state_dict()
        changed = [name for name, one in model.model.state_dict().items() if not torch.equal(one, weights[name])]
        apart = _apart(model.run(_BASE).logits, again.run(_BASE).logits)
    if changed:
        return f"{changed[0]} comes back otherwise"
    return None if apart <= _ROUNDING else f"the logits of a saved model differ by {apart:.1g}"


def _logits(model: HookedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """What the stock model predicts; padded on the right it needs to be told nothing else."""
    output = model.model(**inputs, **model.options)
    if "logits" in output:
        return output["logits"]
    return torch.stack([output["start_logits"], output["end_logits"]], dim=-1)


def _real(logits: Tensor) -> Tensor:
    """The logits that count: nobody asks what is predicted at padding."""
    return logits[_BASE["attention_mask"].bool()] if logits.shape[:2] == _BASE["input_ids"].shape else logits


def _gradient(model: HookedModel, logits: Tensor) -> Tensor:
    parameters = [parameter for parameter in model.model.parameters() if parameter.requires_grad]
    weights = torch.linspace(-1, 1, logits.numel()).reshape(logits.shape)
    found = torch.autograd.grad((weights * logits).sum(), parameters, allow_unused=True, materialize_grads=True)
    return torch.cat([gradient.flatten() for gradient in found])


def _apart(expected: Tensor, found: Tensor) -> float:
    """How far two tensors are apart, relative to the first."""
    return ((found - expected).norm() / expected.norm().clamp_min(1e-12)).item()


def _positions() -> Positions:
    rows = [[(at, source) for row, at, source in _PAIRS if row == number] for number in range(3)]
    width = max(map(len, rows))
    filled = torch.tensor([[*row, *[(0, 0)] * (width - len(row))] for row in rows])
    valid = torch.arange(width) < torch.tensor([[len(row)] for row in rows])
    return Positions(filled[..., 0], filled[..., 1], valid)
