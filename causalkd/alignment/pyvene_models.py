"""pyvene's side of an alignment: its configs as plain values, and its table of models, filled from TransformerLens.

The only importer of pyvene. Imported lazily, because pyvene takes seconds to import and prints while it does.
"""

import contextlib
import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformer_lens.factories import architecture_adapter_factory
from transformers import PretrainedConfig, PreTrainedModel

from causalkd.models.adapters import adapter_for, register_adapters
from causalkd.models.places import Place, find_places

with contextlib.redirect_stdout(io.StringIO()):
    import pyvene
    from pyvene.models.constants import CONST_INPUT_HOOK, CONST_OUTPUT_HOOK, split_head_and_permute
    from pyvene.models.intervenable_modelcard import type_to_dimension_mapping, type_to_module_mapping

_BY_HEAD = "head_attention_value_output"
# What a pyvene config must say to be vanilla and parallel, and may not say otherwise. None stands for "not given".
_REFUSED_FIELDS: dict[str, str] = {
    "intervention": "an intervention object; give intervention_type=VanillaIntervention instead",
    "low_rank_dimension": "learned; learned alignments come with search",
    "latent_dim": "learned; learned alignments come with search",
    "moe_key": "a single expert, which no place here is",
    "source_representation": "a constant source; here a source is always an input",
    "hidden_source_representation": "a constant source; here a source is always an input",
}
_CARRIED_FIELDS = ("layer", "component", "unit", "max_number_of_units", "subspace_partition", "group_key")
_CARRIED_REST = ("model_type", "sorted_keys", "intervention_dimensions", "intervention_constant_sources")
_OF_CONFIG = {"representations", "intervention_types", "mode", *_CARRIED_REST}


@dataclass(frozen=True)
class PlainConfig:
    """What a pyvene config says, as plain values.

    Attributes:
        sites: The fields of each representation that a `Site` has, under the same names.
        rest: The fields of a `ConfigRest`.
        faults: A line for each field that no alignment can hold, with its path.
    """

    sites: tuple[Mapping[str, object], ...]
    rest: Mapping[str, object]
    faults: tuple[str, ...]


def read_config(config: PretrainedConfig | Mapping[str, Any] | Sequence[Any]) -> PlainConfig:
    """Takes an `IntervenableConfig` apart, or what pyvene would make one of; changes nothing in it."""
    if not isinstance(config, PretrainedConfig):
        given = [config] if isinstance(config, Mapping | pyvene.RepresentationConfig) else list(config)
        try:
            config = pyvene.IntervenableConfig([_representation(part) for part in given])
        except (TypeError, ValueError) as error:
            return PlainConfig((), {}, (f"representations: {error}",))
    if not isinstance(config, pyvene.IntervenableConfig):
        return PlainConfig((), {}, (f"a {type(config).__name__} was given; give a pyvene IntervenableConfig",))
    parts = [_representation(part) for part in config.representations]
    faults = [f"representations[{i}].{line}" for i, part in enumerate(parts) for line in _part_faults(part)]
    faults += _config_faults(config)
    types = config.intervention_types
    rest = {key: vars(config)[key] for key in _CARRIED_REST}
    rest["listed_types"] = len(types) if isinstance(types, list) else None
    return PlainConfig(tuple(_site_fields(part) for part in parts), {} if faults else rest, tuple(faults))


def write_config(sites: Sequence[Mapping[str, Any]], rest: Mapping[str, Any]) -> PretrainedConfig:
    """The `IntervenableConfig` of some sites and a `ConfigRest`, given as their fields; the inverse of `read_config`."""
    # pyvene takes a type for all sites or for none.
    typed = any(site["intervention_type"] is not None for site in sites)
    config = pyvene.IntervenableConfig(
        [
            pyvene.RepresentationConfig(
                **{key: site[key] for key in (*_CARRIED_FIELDS, "intervention_link_key") if key != "subspace_partition"},
                subspace_partition=_listed(site["subspace_partition"]),
                intervention_type=pyvene.VanillaIntervention if typed else None,
            )
            for site in sites
        ]
    )
    for key in _CARRIED_REST:
        setattr(config, key, list(rest[key]) if isinstance(rest[key], tuple) else rest[key])
    if rest["listed_types"] is not None:
        config.intervention_types = [pyvene.VanillaIntervention] * rest["listed_types"]
    return config


@functools.cache
def teach_pyvene() -> None:
    """Makes `pyvene.IntervenableModel` accept every text model that TransformerLens has an adapter for.

    Costs about two seconds, once a process. A class that cannot be built from its default config is left to
    `teach_model`.
    """
    register_adapters()
    for name in architecture_adapter_factory.SUPPORTED_ARCHITECTURES:
        # Multimodal wrappers come to seconds each; `teach_model` takes them.
        cls = None if "ConditionalGeneration" in name else getattr(transformers, name, None)
        if cls is None:
            continue
        try:
            model = _one_block(cls)
            teach_model(model)
        except (AttributeError, ImportError, TypeError, ValueError):
            # No blocks of attention and one MLP (state-space models, experts), or no usable default config.
            continue


def teach_model(model: PreTrainedModel) -> None:
    """Makes `pyvene.IntervenableModel` accept the class of a model, with the components' meaning in an `Alignment`.

    Replaces pyvene's own entries for these components where it knows the class: its GPT-2 `attention_output` and
    `mlp_output` come after dropout, and its Qwen2 heads do not work. Its other entries are kept.

    Raises:
        ValueError: TransformerLens has no adapter for the class, or the adapter lacks one of the components.
    """
    blocks = [place for place in find_places(adapter_for(model), model) if place.layer == 0]
    cls = type(model)
    dimensions = _dimensions(model.config, blocks)
    modules = {place.component: _module(place) for place in blocks}
    if "n_head" not in dimensions:
        del modules[_BY_HEAD]
    type_to_module_mapping[cls] = {**type_to_module_mapping.get(cls, {}), **modules}
    type_to_dimension_mapping[cls] = {**type_to_dimension_mapping.get(cls, {}), **dimensions}
