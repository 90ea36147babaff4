import pytest
import torch

from causalkd.alignment.resolve import resolve_site
from causalkd.alignment.spec import Site
from causalkd.models.adapters import TableAdapter
from causalkd.models.hooks.hook_names import CARRIED_COMPONENTS, component_fault
from causalkd.models.hooks.hook_points import ADDED as HOOKS
from causalkd.models.hooks.hook_points import COMPONENTS
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.measure import few_tokens, still
from tests.architectures.zoo import tiny_of
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
        ({"component": "blocks.6.hook_atn_out"}, "did you mean blocks.6.hook_attn_out?"),
        *(
            (
                {"component": f"blocks.6.{hook}"},
                f"'blocks.6.{hook}' is not a component; this tensor is not offered; choose one of embed.hook_out, "
                "blocks.6.hook_in, blocks.6.hook_out, ",
            )
            for hook in ("mlp.hook_post", "mlp.hook_pre", "attn.hook_q", "hook_resid_mid", "mlp.in.hook_out")
        ),
    ],
)
def test_hook_names_that_name_no_site(given: dict[str, object], message: str):
    with pytest.raises(ValueError) as error:
        Site.model_validate(given)
    assert message in str(error.value)


# TransformerLens' names for what a sublayer adds to the residual stream, and where they are a hook point here. In BERT
# attention ends with a norm, Gemma 2 and OLMo 2 have a norm after each sublayer, and Granite scales what is added.
ADDED: dict[str, tuple[bool, bool]] = {
    "bert": (False, True),
    "distilbert": (True, True),
    "gpt2": (True, True),
    "llama": (True, True),
    "opt": (True, True),
    "bloom": (True, True),
    "gptj": (True, True),
    "falcon": (True, True),
    "mixtral": (True, True),
    "gemma2": (False, False),
    "olmo2": (False, False),
    "granite": (False, False),
}


@pytest.mark.parametrize("architecture", ADDED)
def test_names_that_go_by_architecture_mean_what_they_mean_in_transformer_lens(architecture: str) -> None:
    task = "masked_lm" if "bert" in architecture else "causal_lm"
    model = tiny_of(architecture, task).double()
    model.set_attn_implementation("eager")
    if architecture == "mixtral":
        model.set_experts_implementation("eager")  # the other one has no float64
    hooked = HookedModel(model, task=task, role="student")
    ids = few_tokens(model, 2, 5)["input_ids"]
    for (component, hook), is_here in zip(HOOKS.items(), ADDED[architecture], strict=True):
        name, site = f"blocks.1.{hook}", Site.model_validate({"component": f"blocks.1.{hook}"})
        assert site == Site(layer=1, component=hook)
        if not is_here:
            with pytest.raises(ValueError, match=f"{name}.*not a hook point here; that map's output is blocks.1"):
                resolve_site(site, hooked)
            continue
        assert resolve_site(site, hooked).hook_point == hooked.hook_point(component, 1)
        with still(model):
            _, cache = hooked.run_with_cache({"input_ids": ids}, [name])
        if not isinstance(hooked.adapter, TableAdapter):
            _, expected = hooked.bridge().run_with_cache(ids)
            torch.testing.assert_close(cache[name], expected[name].reshape(cache[name].shape))


def test_an_activation_of_zeros_does_not_tell_a_name() -> None:
    model = tiny("gpt2", "causal_lm")
    model.transformer.h[0].attn.c_proj.weight.data.zero_()
    model.transformer.h[0].attn.c_proj.bias.data.zero_()
    names = [each.synonym for each in HookedModel(model, task="causal_lm", role="student").hook_points()]
    assert "blocks.0.hook_attn_out" not in names and {"blocks.0.hook_mlp_out", "blocks.1.hook_attn_out"} <= {*names}


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
    with pytest.raises(ValueError, match=r"blocks.0.mlp.hook_post' is not .*; this tensor is not offered; choose one"):
        hooked.run_with_cache(tiny_inputs(2, 6), "blocks.0.mlp.hook_post")
    with pytest.raises(ValueError, match=r"hook_ot.*did you mean blocks.0.hook_out.*\n.*output is blocks.1.attn.o"):
        hooked.run_with_cache(tiny_inputs(2, 6), ["blocks.0.hook_ot", "blocks.1.hook_attn_out", "blocks.1.hook_out"])
