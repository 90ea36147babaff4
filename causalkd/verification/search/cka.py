"""The similarity of two models' activations, layer by layer, as a cheap first guess at corresponding sites."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from causalkd.data.batch import Batch, check_one_reading
from causalkd.models.hooks.eval_mode import evaluating
from causalkd.models.hooks.hook_points import by_layer
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.verification.interventions.pair_rows import check_given
from causalkd.verification.interventions.plan import check_component


def linear_cka(
    teacher: HookedModel, student: HookedModel, batches: Sequence[Batch], component: str = "block_output"
) -> Float[Tensor, "teacher_layer student_layer"]:
    """Linear centred kernel alignment of every teacher layer with every student layer, over the real tokens of base.

    The value is 1 for activations that are equal up to rotation, shift and scale, and 0 for uncorrelated ones. It shows
    that the same information can be read, not that it is used; only an intervention shows the latter. Source: Kornblith
    et al. 2019, "Similarity of neural network representations revisited", equation 4. Costs one forward of each model
    and, for each pair of layers, width × width products per token, whose sums are kept.

    NaN stands in the rows and columns of layers that lack the component.

    Raises:
        ValueError: There are no batches, a model has no such component, or the models have different tokenizers.
    """
    check_given(batches, "linear CKA")
    for model in (teacher, student):
        check_component(model, component)
    layers = [list(by_layer(component, model.hook_points())) for model in (teacher, student)]
    sums = _Sums(*map(len, layers))
    with torch.no_grad(), evaluating([teacher, student]):
        for batch in batches:
            check_one_reading(batch, "linear CKA")
            sums.add(*(_activations(model, batch, component) for model in (teacher, student)))
    found = torch.full((teacher.n_layers, student.n_layers), torch.nan)
    found[torch.meshgrid(*map(torch.tensor, layers), indexing="ij")] = sums.alignment()
    return found


def _activations(model: HookedModel, batch: Batch, component: str) -> list[Float[Tensor, "token width"]]:
    """The real tokens' activations, layer by layer."""
    hook_points = list(by_layer(component, model.hook_points()).values())
    batch = batch.to(model.model.device)
    run = model.read(batch.inputs, hook_points)
    return [run.activations[hook_point][batch.counted].double() for hook_point in hook_points]


class _Sums:
    """Sums over tokens of activations and of their products, from which the centred ones follow."""

    def __init__(self, teacher_layers: int, student_layers: int) -> None:
        # A layer of either model is numbered consecutively; the needed products are those with itself and with the
        # other model.
        self._layers = teacher_layers, student_layers
        across = [(t, teacher_layers + s) for t in range(teacher_layers) for s in range(student_layers)]
        self._pairs = [*across, *((layer, layer) for layer in range(teacher_layers + student_layers))]
        self._products: dict[tuple[int, int], Tensor] = {}
        self._totals: dict[int, Tensor] = {}
        self._tokens = 0

    def add(self, teacher: list[Float[Tensor, "token width"]], student: list[Float[Tensor, "token width"]]) -> None:
        layers = [*teacher, *student]
        self._tokens += len(layers[0])
        for number, layer in enumerate(layers):
            self._totals[number] = self._totals.get(number, 0) + layer.sum(0)
        for one, other in self._pairs:
            self._products[one, other] = self._products.get((one, other), 0) + layers[one].T @ layers[other]

    def alignment(self) -> Float[Tensor, "teacher_layer student_layer"]:
        teacher_layers, student_layers = self._layers
        tiny = torch.finfo(torch.float64).tiny

        def size(one: int, other: int) -> Tensor:
            means = torch.outer(self._totals[one], self._totals[other]) / self._tokens
            return (self._products[one, other] - means).norm()

        def cka(one: int, other: int) -> float:
            return float(size(one, other) ** 2 / (size(one, one) * size(other, other)).clamp_min(tiny))

        numbers = range(teacher_layers, teacher_layers + student_layers)
        return torch.tensor([[cka(layer, number) for number in numbers] for layer in range(teacher_layers)])
