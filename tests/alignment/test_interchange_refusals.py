"""What an interchange refuses, in words; and that it leaves the model as it was, however it ends."""

import pytest
import torch
from torch import Tensor

from causalkd.alignment.interchange import hook_points_needed, interchange
from causalkd.alignment.resolved_site import ResolvedSite
from causalkd.models.hooks.hooked_model import HookedModel
from tests.alignment.interventions import BASE, PAIRS, SOURCE, every_position, hooked, positions, site
from tests.tiny import tiny_inputs


def _state(model: HookedModel) -> list[object]:
    modules = list(model.model.modules())
    hooks = [
        hook for module in modules for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    ]
    return [*map(id, modules), *hooks, *(module.training for module in modules)]


@pytest.mark.parametrize("component", ["block_output", "block_input", "mlp_output", "token_embedding"])
@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_nothing_is_left_behind(component: str, error: type[BaseException]) -> None:
    for mode in (True, False):
        model = hooked("bert", dropout=0.3)
        model.model.train(mode)
        one, before = site(model, component), _state(model)
        interchange(model, [one], BASE, SOURCE, positions(PAIRS), keep=model.hook_points())
        assert _state(model) == before

        def fail(*_: object) -> None:
            raise error

        run = model.run(BASE, hook_points_needed(model, [one]))
        handle = model.blocks[2].register_forward_pre_hook(fail)
        with pytest.raises(error):
            interchange(model, [one], run, run.source_activations(), every_position(BASE))
        handle.remove()
        assert _state(model) == before


def test_a_site_of_another_model_leaves_nothing_behind() -> None:
    model = hooked("bert")
    foreign, before = site(hooked("gpt2"), "mlp_output"), _state(model)
    for sites in ([foreign], [site(model), foreign], [ResolvedSite(site(model).hook_point, source=foreign)]):
        with pytest.raises(
            ValueError, match=r"blocks.1.mlp.out.hook_out \(transformer.h.1.mlp.c_proj, 32 wide\) is no"
        ):
            interchange(model, sites, BASE, SOURCE, positions(PAIRS))
        with pytest.raises(
            ValueError, match=r"is no hook point of HookedModel\(BertFor.*resolve the site in the model"
        ):
            hook_points_needed(model, sites)
    assert _state(model) == before


def test_there_is_a_site() -> None:
    with pytest.raises(ValueError, match="there is no site to intervene on; give at least one"):
        interchange(hooked("bert"), [], BASE, SOURCE, positions(PAIRS))


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([[(0, 0)], [(9, 0)], [], []], r"row 1: base positions \[9\] \(the row has 9 real tokens\)"),
        ([[(0, 0)], [], [], [(0, 5)]], r"row 3: source positions \[5\] \(the row has 5 real tokens\)"),
        ([[(12, 0)], [], [], []], r"row 0: base positions \[12\] \(the row has 10 real tokens\)"),
        ([[(-1, 0)], [], [], []], r"row 0: base positions \[-1\]"),
        ([[], [], [(1, 0), (1, 1)], []], r"row 2: base positions \[1, 1\] name one position twice"),
    ],
)
def test_positions_that_are_no_tokens(pairs: list[list[tuple[int, int]]], message: str) -> None:
    model = hooked("bert")
    with pytest.raises(ValueError, match=message):
        interchange(model, [site(model)], BASE, SOURCE, positions(pairs))


def test_padding_on_the_left_is_padding() -> None:
    model, base = hooked("gpt2"), tiny_inputs(4, 10, side="left")
    with pytest.raises(ValueError, match=r"row 3: base positions \[2\]"):
        interchange(model, [site(model)], base, SOURCE, positions([[(2, 0)], [(2, 0)], [(2, 0)], [(2, 0)]]))


def test_a_run_that_kept_too_little() -> None:
    model = hooked("bert")
    one = [site(model, "mlp_output")]
    bare, entry = model.run(BASE), model.run(BASE, [model.hook_point("block_input", 1)])
    with pytest.raises(ValueError) as caught:
        interchange(model, one, bare, bare, every_position(BASE))
    assert str(caught.value).startswith(
        "the given run kept no activation of blocks.1.hook_in, blocks.1.mlp.out.hook_out; run it with "
        "keep=hook_points_needed(model, sites)"
    )
    with pytest.raises(ValueError, match=r"kept no activation of blocks\.1\.mlp\.out\.hook_out"):
        interchange(model, one, entry, entry, every_position(BASE))
    whole = model.run(BASE, hook_points_needed(model, one))
    with pytest.raises(ValueError, match=r"kept no activation of blocks\.0\.hook_out"):
        interchange(model, one, whole, whole, every_position(BASE), keep=[model.hook_point("block_output", 0)])


def test_what_a_run_must_keep() -> None:
    model = hooked("bert")

    def names(*sites: tuple[str, int]) -> list[str]:
        return [hook_point.name for hook_point in hook_points_needed(model, [site(model, *each) for each in sites])]

    assert names(("block_output", 1)) == ["blocks.1.hook_out"]
    assert names(("block_input", 0)) == ["blocks.0.hook_in"]
    assert names(("token_embedding", 0)) == ["embed.hook_out"]
    assert names(("mlp_output", 1)) == ["blocks.1.hook_in", "blocks.1.mlp.out.hook_out"]
    assert names(("block_output", 2), ("attention_output", 0)) == [
        "blocks.0.hook_in",
        "blocks.2.hook_out",
        "blocks.0.attn.o.hook_out",
    ]
    early = site(model, source={"layer": 1, "component": "block_input"})
    assert [hook_point.name for hook_point in hook_points_needed(model, [early])] == [
        "blocks.1.hook_out",
        "blocks.1.hook_in",
    ]


def test_rows_that_do_not_fit() -> None:
    model = hooked("bert")
    more = {name: torch.cat([tensor, tensor]) for name, tensor in SOURCE.items()}
    with pytest.raises(ValueError, match="base has 4 rows, source 8, positions 4; each row of base takes one row"):
        interchange(model, [site(model)], BASE, more, positions(PAIRS))
    with pytest.raises(ValueError, match="base has 4 rows, source 4, positions 3"):
        interchange(model, [site(model)], BASE, SOURCE, positions(PAIRS[:3]))


def test_layerdrop_is_refused_while_training() -> None:
    student = hooked("opt")
    student.model.config.layerdrop = 0.1
    interchange(student, [site(student)], BASE, SOURCE, positions(PAIRS))
    student.model.train()
    with pytest.raises(ValueError, match=r"layerdrop is 0.1, so a training forward may leave a site out; set it to 0"):
        interchange(student, [site(student)], BASE, SOURCE, positions(PAIRS))


def test_the_arguments_are_left_as_they_were() -> None:
    model = hooked("bert")
    one = [site(model, "mlp_output", subspace_partition=((0, 4),))]
    run = model.run(BASE, hook_points_needed(model, one))
    before: dict[str, Tensor] = {hook_point.name: tensor.clone() for hook_point, tensor in run.activations.items()}
    interchange(model, one, run, run.source_activations(torch.tensor([1, 0, 3, 2])), positions(PAIRS))
    assert all(torch.equal(before[hook_point.name], tensor) for hook_point, tensor in run.activations.items())
