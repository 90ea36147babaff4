"""Compiled blocks: an intervention on their input and output works; any hook that would be ignored is refused."""

import pytest
import torch

from causalkd.alignment.interchange import hook_points_needed, interchange
from causalkd.models.hooks.hooked_model import HookedModel
from tests.alignment.interventions import BASE, PAIRS, SOURCE, doubled, gradients, positions, site

# torch's tracer looks at the gradient of every tensor that enters.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


def _compiled(architecture: str, backend: str) -> HookedModel:
    model = doubled(architecture)
    for number, block in enumerate(model.blocks):
        model.blocks[number] = torch.compile(block, backend=backend)  # type: ignore[assignment]
    return model


def _same_as_plain(architecture: str, backend: str, within: float, *components: str) -> None:
    plain, model = doubled(architecture), _compiled(architecture, backend)
    for component in components:
        runs = []
        for each in (plain, model):
            sites = [site(each, component)]
            base = each.run(BASE, hook_points_needed(each, sites))
            runs.append(interchange(each, sites, base, SOURCE, positions(PAIRS)))
        torch.testing.assert_close(runs[1].logits, runs[0].logits, rtol=within, atol=within)
        found = [gradients(each, run.logits.square().sum()) for each, run in zip((plain, model), runs, strict=True)]
        torch.testing.assert_close(found[1], found[0], rtol=100 * within, atol=100 * within)


def test_interventions_between_compiled_blocks() -> None:
    """Traced, and run without a code generator: quick."""
    _same_as_plain("bert", "eager", 1e-12, "block_output")


# torch's own compiler uses it as it is imported.
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
@pytest.mark.slow
# Llama's norms are computed in float32, whatever its weights are, and generated code rounds them at another place.
@pytest.mark.parametrize(("architecture", "within"), [("bert", 1e-9), ("gpt2", 1e-9), ("llama", 1e-5)])
def test_interventions_between_blocks_of_generated_code(architecture: str, within: float) -> None:
    _same_as_plain(architecture, "inductor", within, "block_output", "block_input", "token_embedding")


def test_a_hook_point_inside_a_compiled_block_is_refused() -> None:
    model = _compiled("bert", "eager")
    with pytest.raises(
        ValueError, match=r"block 1 is compiled, which would leave out .*blocks\.1\.mlp\.out\.hook_out; choose block_in"
    ):
        model.run(BASE, [model.hook_point("mlp_output", 1)])


@pytest.mark.parametrize(
    ("path", "component"),
    [
        ("bert.encoder", "block_input"),
        ("bert.embeddings", "token_embedding"),
        ("bert.encoder.layer.1.attention", "attention_output"),
        ("bert.encoder.layer.1.attention.output.dense", "attention_output"),
    ],
)
def test_compiling_what_stands_around_a_hook_is_refused(path: str, component: str) -> None:
    model = doubled("bert")
    module = model.model.get_submodule(path)
    module.compile(backend="eager")
    with pytest.raises(
        ValueError, match=rf"^{path} is compiled, which would leave out the hook at .*; compile whole bl"
    ):
        model.run(BASE, [site(model, component).hook_point])


def test_a_compiled_part_of_a_block_is_refused() -> None:
    model = doubled("bert")
    model.blocks[1].attention = torch.compile(model.blocks[1].attention, backend="eager")
    with pytest.raises(ValueError, match=r"^bert\.encoder\.layer\.1\.attention is compiled, which would leave out"):
        model.run(BASE, [model.hook_point("attention_output", 1)])
    model.run(BASE, [model.hook_point("block_output", 1)])


def test_compiling_in_place_is_refused() -> None:
    model = doubled("bert")
    model.blocks[1].compile(backend="eager")
    with pytest.raises(ValueError, match=r"layer\.1 is compiled, which.*blocks\[i\] = torch\.compile\(blocks\[i\]\)"):
        model.run(BASE, [model.hook_point("block_output", 1)])
    model.run(BASE, [model.hook_point("block_output", 0)])
    whole = doubled("bert")
    whole.model.compile(backend="eager")
    with pytest.raises(ValueError, match="the model is compiled as a whole, which would leave out the hook at embed"):
        whole.run(BASE, [whole.hook_point("token_embedding", 0)])
