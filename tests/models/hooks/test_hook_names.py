import pytest
import torch

from causalkd.alignment.spec import Site
from causalkd.models.hooks.hook_names import CARRIED_COMPONENTS, component_fault
from causalkd.models.hooks.hook_points import COMPONENTS
from causalkd.models.hooks.hooked_model import HookedModel
from tests.tiny import ARCHITECTURES, TASKS_OF, tiny, tiny_inputs


def test_known_components_have_no_fault():
    assert all(component_fault(name, 1) is None for name in (*COMPONENTS, *CARRIED_COMPONENTS))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_name_of_a_hook_point_is_a_synonym(architecture: str):
    task = TASKS_OF[architecture][0]
    for hook_point in HookedModel(tiny(architecture, task), task=task, role="student").hook_points():
        unit = "h.pos" if hook_point.component.startswith("head_") else "pos"
        site = Site.model_validate({"component": hook_point.name, "unit": unit})
        assert (site.component, site.layer) == (hook_point.component, hook_point.layer)


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("blocks.6.hook_resid_post", Site(layer=6, component="block_output")),
        ("blocks.6.hook_out", Site(layer=6, component="block_output")),
        ("blocks.6.hook_resid_pre", Site(layer=6, component="block_input")),
        ("blocks.0.hook_in", Site(layer=0, component="block_input")),
        ("blocks.2.attn.o.hook_out", Site(layer=2, component="attention_output")),
        ("blocks.12.mlp.out.hook_out", Site(layer=12, component="mlp_output")),
        ("blocks.12.mlp.hook_out", Site(layer=12, component="mlp_output")),  # a mixture of experts
        ("blocks.2.attn.o.hook_in", Site(layer=2, component="attention_value_output")),
        ("blocks.2.hook_z", Site(layer=2, component="attention_value_output")),
        ("blocks.2.attn.hook_z", Site(layer=2, component="attention_value_output")),
        ("embed.hook_out", Site(layer=0, component="token_embedding")),
    ],
)
def test_hook_names_are_synonyms(name: str, site: Site):
    assert Site.model_validate({"component": name}) == site
    assert Site.model_validate({"component": name, "layer": site.layer}) == site


def test_a_hook_name_with_heads_is_the_head_component():
    site = Site.model_validate({"component": "blocks.2.hook_z", "unit": "h.pos", "heads": [1]})
    assert site == Site(layer=2, component="head_attention_value_output", unit="h.pos", heads=(1,))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"component": "blocks.6.hook_out", "layer": 2},
            "is in layer 6, but layer 2 is given as well; give one of them",
        ),
        ({"component": "blocks.6.attn.hook_out", "layer": 6}, "did you mean blocks.6.attn.o.hook_out?"),
        ({"component": "attn_output", "layer": 6}, "did you mean attention_output?"),
        # On Gemma 2 and, for attention, on BERT, TransformerLens means another tensor than an alignment.
        ({"component": "blocks.6.hook_attn_out"}, "that is blocks.6.attn.o.hook_out"),
        ({"component": "blocks.6.hook_mlp_out"}, "that is blocks.6.mlp.out.hook_out"),
    ],
)
def test_hook_names_that_name_no_site(given: dict[str, object], message: str):
    with pytest.raises(ValueError) as error:
        Site.model_validate(given)
    assert message in str(error.value)


SYNONYMS = ("blocks.1.hook_resid_pre", "blocks.1.hook_resid_post", "blocks.1.attn.hook_z", "blocks.1.mlp.hook_out")


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "llama"])
def test_synonyms_mean_in_a_cache_what_they_mean_in_transformer_lens(architecture: str) -> None:
    task = TASKS_OF[architecture][0]
    model = tiny(architecture, task, dtype=torch.float64)
    model.set_attn_implementation("eager")
    hooked = HookedModel(model, task=task, role="teacher")
    inputs = tiny_inputs(2, 6, types=False)
    _, cache = hooked.run_with_cache(inputs, SYNONYMS)
    assert tuple(cache) == SYNONYMS
    _, expected = hooked.bridge().run_with_cache(inputs["input_ids"], attention_mask=inputs["attention_mask"])
    real = inputs["attention_mask"].bool()
    for name, activation in cache.items():
        torch.testing.assert_close(activation[real], expected[name].flatten(2)[real])


def test_one_name_is_a_list_of_one_and_unknown_names_are_listed() -> None:
    hooked = HookedModel(tiny("bert", "classification"), task="classification", role="teacher")
    assert list(hooked.run_with_cache(tiny_inputs(2, 6), "blocks.0.hook_out")[1]) == ["blocks.0.hook_out"]
    with pytest.raises(ValueError, match=r"hook_ot.*did you mean blocks.0.hook_out.*\n.*that is blocks.1.attn.o"):
        hooked.run_with_cache(tiny_inputs(2, 6), ["blocks.0.hook_ot", "blocks.1.hook_attn_out", "blocks.1.hook_out"])
