import pytest
import torch
from pyvene.models import modeling_utils
from pyvene.models.intervenable_modelcard import type_to_dimension_mapping, type_to_module_mapping
from pyvene.models.mlp.modelings_mlp import MLPConfig
from transformers import (
    AlbertForMaskedLM,
    BloomConfig,
    BloomForCausalLM,
    CohereForCausalLM,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    ViTForImageClassification,
)

from causalkd.alignment.pyvene.architectures import pyvene, teach_model, teach_pyvene
from causalkd.alignment.spec import Alignment, Site, SitePair
from causalkd.data.pairs.draw_positions import PositionPolicy
from causalkd.models.hooks.hooked_model import HookedModel
from tests.architectures.zoo import tiny_of
from tests.tiny import MODELS, tiny, tiny_inputs

BY_HEAD = "head_attention_value_output"


def _config(**fields: object) -> pyvene.IntervenableConfig:
    site = Site.model_validate({"layer": 1, **fields})
    pair = SitePair(name="pair", teacher=(site,), student=(site,))
    return Alignment(name="a", positions=PositionPolicy(policy="all"), pairs=(pair,)).to_pyvene()[0]


@pytest.mark.parametrize(("name", "component"), [("hook_attn_out", "attention_output"), ("hook_mlp_out", "mlp_output")])
def test_a_name_that_goes_by_architecture_is_refused(name: str, component: str):
    """pyvene knows neither, and said only that the model has no attribute ''."""
    with pytest.raises(ValueError, match=rf"blocks\.1\.{name} is another tensor in some.*`component: {component}`"):
        _config(component=name)


@pytest.mark.seconds
def test_an_intervenable_model_takes_a_bert():
    model = tiny("bert", "masked_lm")
    base, source = tiny_inputs(2, seed=1), tiny_inputs(2, seed=2)
    plain = model(**base).logits
    intervenable = pyvene.IntervenableModel(_config(), model)
    # With an intervention at every position of the last-but-one block, only the padding differs between base and
    # source.
    _, output = intervenable(base, [source], {"sources->base": ([[list(range(9))] * 2], [[list(range(9))] * 2])})
    assert not torch.equal(output.logits, plain)
    _, same = intervenable(base, [base], {"sources->base": ([[[1, 2]] * 2], [[[1, 2]] * 2])})
    assert torch.equal(same.logits, plain)


@pytest.mark.parametrize(("architecture", "task"), MODELS)
def test_pyvene_learns_every_hook_point(architecture: str, task: str):
    teach_pyvene()
    model = tiny(architecture, task)
    for hook_point in HookedModel(model, task=task, role="student").hook_points():
        part = pyvene.RepresentationConfig(hook_point.layer, hook_point.component)
        hook = modeling_utils.get_module_hook(model, part)
        assert hook.__self__ is model.get_submodule(hook_point.module)
        assert (
            hook.__name__ == {"input": "register_forward_pre_hook", "output": "register_forward_hook"}[hook_point.side]
        )
        width = modeling_utils.get_dimension_by_component(type(model), model.config, hook_point.component)
        # Where a config names no width pyvene takes all columns.
        assert width in (hook_point.width // hook_point.heads, None)
        tensor = modeling_utils.output_to_subcomponent(
            torch.zeros(2, 3, hook_point.width), hook_point.component, type(model), model.config
        )
        by_head = (2, hook_point.heads, 3, hook_point.width // hook_point.heads)
        assert tensor.shape == (by_head if hook_point.component == BY_HEAD else (2, 3, hook_point.width))


def test_widths_follow_the_config_of_each_model():
    teach_pyvene()
    config = LlamaConfig(hidden_size=32, num_attention_heads=2, num_key_value_heads=1, head_dim=6, num_hidden_layers=1)
    widths = {
        name: modeling_utils.get_dimension_by_component(LlamaForCausalLM, config, name)
        for name in ("block_output", BY_HEAD, "attention_value_output")
    }
    assert widths == {"block_output": 32, BY_HEAD: 6, "attention_value_output": None}


def test_architectures_beyond_the_supported_ones():
    """Whatever TransformerLens names, pyvene can run; nothing is registered before it is looked up."""
    teach_pyvene()
    assert BloomForCausalLM not in type_to_module_mapping
    config = BloomConfig(vocab_size=50, hidden_size=16, n_layer=2, n_head=2)
    with torch.random.fork_rng(devices=[]):
        model = BloomForCausalLM(config).eval()
    random_state = torch.get_rng_state()
    inputs = {"input_ids": torch.arange(8).view(2, 4), "attention_mask": torch.ones(2, 4, dtype=torch.long)}
    intervenable = pyvene.IntervenableModel(_config(component=BY_HEAD, unit="h.pos"), model)
    _, output = intervenable(inputs, [inputs], {"sources->base": ([[[[0]] * 2, [[1]] * 2]], [[[[0]] * 2, [[1]] * 2]])})
    torch.testing.assert_close(output.logits, model(**inputs).logits)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert BloomForCausalLM in type_to_module_mapping
    assert modeling_utils.type_to_module_mapping[CohereForCausalLM]["mlp_output"][0] == "model.layers[%s].mlp.down_proj"


def test_a_class_that_nobody_knows():
    teach_pyvene()
    mlp = pyvene.create_mlp_classifier(MLPConfig(h_dim=4, num_classes=2))[-1]
    assert pyvene.IntervenableModel({"layer": 0, "component": "mlp_activation"}, mlp).model is mlp
    assert ViTForImageClassification not in modeling_utils.type_to_module_mapping
    with pytest.raises(KeyError, match="pyvene does not know ViTForImageClassification"):
        modeling_utils.type_to_dimension_mapping[ViTForImageClassification]
    with pytest.raises(ValueError, match="BertModel has no TransformerLens adapter"):
        teach_model(tiny("bert", "masked_lm").bert)


def test_layers_that_share_a_block_are_none_that_pyvene_can_name():
    teach_pyvene()
    with pytest.raises(ValueError, match="the layers of AlbertForMaskedLM share a block"):
        teach_model(tiny_of("albert", "masked_lm"))
    assert AlbertForMaskedLM not in modeling_utils.type_to_module_mapping


def test_pyvenes_other_entries_are_kept():
    teach_pyvene()
    entries = modeling_utils.type_to_module_mapping[GPT2LMHeadModel]
    assert entries["query_output"][0] == "transformer.h[%s].attn.c_attn"
    # Before dropout, unlike pyvene's own `resid_dropout` and `mlp`.
    assert entries["attention_output"][0] == "transformer.h[%s].attn.c_proj"
    assert entries["mlp_output"][0] == "transformer.h[%s].mlp.c_proj"


def test_teaching_again_changes_nothing():
    teach_pyvene()
    model = tiny("gpt2", "causal_lm")
    table = modeling_utils.type_to_module_mapping
    before = (dict(table[type(model)]), dict(modeling_utils.type_to_dimension_mapping[type(model)]))
    teach_pyvene()
    teach_model(model)
    assert modeling_utils.type_to_module_mapping is table
    assert (type_to_module_mapping[type(model)], type_to_dimension_mapping[type(model)]) == before
    assert len(table) == len(list(table)) == len(type_to_module_mapping)


def test_a_config_that_pyvene_saved_is_read(tmp_path):
    """It holds the types of interventions as text."""
    built = pyvene.IntervenableConfig({"layer": 1, "component": "block_output"}, pyvene.VanillaIntervention)
    pyvene.IntervenableModel(built, tiny("gpt2", "causal_lm")).save(str(tmp_path))
    saved = pyvene.IntervenableConfig.from_pretrained(str(tmp_path))
    assert Alignment.from_pyvene(saved, saved) == Alignment.from_pyvene(built, built)
    saved.intervention_types = [str(pyvene.RotatedSpaceIntervention)]
    with pytest.raises(ValueError, match=r"RotatedSpaceIntervention.* given, but only Vanilla"):
        Alignment.from_pyvene(saved, saved)
