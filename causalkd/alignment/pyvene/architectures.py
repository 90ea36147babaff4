"""The pyvene part of an alignment: its configs, and its table of models, made from TransformerLens' adapters.

The only importer of pyvene. Imported lazily, because pyvene takes seconds to import and prints while it does.
"""

import contextlib
import functools
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedModel

from causalkd.alignment.basis import Basis, orthonormal
from causalkd.models.adapters import TableAdapter, adapter_for, is_known
from causalkd.models.hooks.find_hook_points import find_hook_points
from causalkd.models.hooks.hook_names import BY_ARCHITECTURE
from causalkd.models.hooks.hook_points import HookPoint

with contextlib.redirect_stdout(io.StringIO()):
    import pyvene
    from pyvene.models import modeling_utils
    from pyvene.models.constants import CONST_INPUT_HOOK, CONST_OUTPUT_HOOK, split_head_and_permute
    from pyvene.models.intervenable_modelcard import type_to_dimension_mapping, type_to_module_mapping
    from pyvene.models.interventions import BoundlessRotatedSpaceIntervention as BoundlessRotatedSpaceIntervention
    from pyvene.models.interventions import LowRankRotatedSpaceIntervention as LowRankRotatedSpaceIntervention

_BY_HEAD = "head_attention_value_output"
_LEARNED = "give the trained LowRankRotatedSpaceIntervention as intervention"
_NOT_VANILLA = f"but only VanillaIntervention is supported; of what was learned {_LEARNED}"
# Fields of a representation that must be None, and what they would turn it into.
_REFUSED_FIELDS: dict[str, str] = {
    "low_rank_dimension": f"to be learned; {_LEARNED}",
    "latent_dim": f"to be learned; {_LEARNED}",
    "intervention_link_key": "for interventions that share what they learn; a site here has nothing to learn",
    "moe_key": "a single expert, which no hook point here is",
    "source_representation": "a constant source; here a source is always an input",
    "hidden_source_representation": "a constant source; here a source is always an input",
}
_OF_SITES = ("layer", "component", "unit", "subspace_partition")
# Fields that pyvene sets when it builds an `IntervenableModel`, besides those that are read here.
_BUILT = {"model_type", "sorted_keys", "intervention_dimensions"}
_OF_CONFIG = {"representations", "intervention_types", "mode", "intervention_constant_sources", *_BUILT}


@dataclass(frozen=True)
class PlainConfig:
    """The contents of a pyvene config, as plain values.

    Attributes:
        sites: The fields of each representation that a `Site` has, under the same names.
        group_keys: The `group_key` of each representation.
        faults: A line for each field that no alignment can hold, with its path.
    """

    sites: tuple[Mapping[str, object], ...]
    group_keys: tuple[int | str | None, ...]
    faults: tuple[str, ...]


def read_config(config: PretrainedConfig | Mapping[str, Any] | Sequence[Any]) -> PlainConfig:
    """Reads an `IntervenableConfig`, or a value from which pyvene makes one; it is not changed."""
    if not isinstance(config, PretrainedConfig):
        given = [config] if isinstance(config, Mapping | pyvene.RepresentationConfig) else list(config)
        try:
            config = pyvene.IntervenableConfig([_representation(part) for part in given])
        except (TypeError, ValueError) as error:
            return PlainConfig((), (), (f"representations: {error}",))
    if not isinstance(config, pyvene.IntervenableConfig):
        return PlainConfig((), (), (f"a {type(config).__name__} was given; give a pyvene IntervenableConfig",))
    parts = [_representation(part) for part in config.representations]
    faults = [f"representations[{i}].{line}" for i, part in enumerate(parts) for line in _part_faults(part)]
    faults += _config_faults(config)
    keys = tuple(part.group_key for part in parts)
    return PlainConfig(tuple(_site_fields(part) for part in parts), keys, tuple(faults))


def write_config(sites: Sequence[Mapping[str, Any]]) -> PretrainedConfig:
    """The `IntervenableConfig` of some sites, given as their fields and a `group_key` each.

    Raises:
        ValueError: A site has a name that goes by architecture, which a config does not know.
    """
    for site in sites:
        meant = BY_ARCHITECTURE.get(site["component"])
        if meant is not None:
            raise ValueError(
                f"blocks.{site['layer']}.{site['component']} is another tensor in some architectures, and a pyvene "
                f"config is for any; write `component: {meant}`, the output of the sublayer's last linear map"
            )
    # pyvene takes a type, or an intervention, for all sites or for none.
    typed = any(site["basis"] is not None for site in sites)
    return pyvene.IntervenableConfig([_written(site, typed) for site in sites])


def _written(site: Mapping[str, Any], typed: bool) -> Any:
    """The representation of one site."""
    learned = None if site["basis"] is None else _rotation(Basis.model_validate(site["basis"]))
    return pyvene.RepresentationConfig(
        **{
            **{key: site[key] for key in _OF_SITES},
            "subspace_partition": _listed(site["subspace_partition"]),
            "group_key": site["group_key"],
            "intervention": learned,
            "intervention_type": pyvene.VanillaIntervention if typed and learned is None else None,
        }
    )


def _rotation(basis: Basis) -> LowRankRotatedSpaceIntervention:
    """Pyvene's intervention on these directions."""
    made = LowRankRotatedSpaceIntervention(embed_dim=basis.width, low_rank_dimension=basis.rank)
    made.rotate_layer.weight = torch.from_numpy(basis.columns())
    return made


class _LearningTable(Mapping[type, dict[str, Any]]):
    """One of pyvene's two tables of model classes, which learns a class from TransformerLens when it is looked up."""

    def __init__(self, known: dict[type, dict[str, Any]]) -> None:
        self.known = known

    def __getitem__(self, cls: type) -> dict[str, Any]:
        _learn(cls)
        if cls not in self.known:
            raise KeyError(f"pyvene does not know {cls.__name__}, and TransformerLens names no hook points of it")
        return self.known[cls]

    def __iter__(self) -> Iterator[type]:
        return iter(self.known)

    def __len__(self) -> int:
        return len(self.known)


def teach_pyvene() -> None:
    """Make `pyvene.IntervenableModel` accept every class that TransformerLens has an adapter for; a second call is
    free.

    A class is learnt when pyvene first looks it up, which costs some ten milliseconds; to learn all of them here would
    import a hundred architectures. Components then mean what they mean in an `Alignment`: pyvene's own entries for
    them are replaced, because its GPT-2 `attention_output` and `mlp_output` come after dropout and its Qwen2 heads do
    not work. Its other entries are kept.
    """
    if not isinstance(modeling_utils.type_to_module_mapping, _LearningTable):
        modeling_utils.type_to_module_mapping = _LearningTable(type_to_module_mapping)
        modeling_utils.type_to_dimension_mapping = _LearningTable(type_to_dimension_mapping)


def teach_model(model: PreTrainedModel) -> None:
    """Make pyvene accept the class of this model; for a class whose default config does not make a model.

    Raises:
        ValueError: TransformerLens has no adapter for the class, or its layers share blocks.
    """
    adapter = adapter_for(model)
    if isinstance(adapter, TableAdapter) and adapter.repeats:
        raise ValueError(
            f"the layers of {type(model).__name__} share a block, and pyvene names a layer by its block; use "
            "causalkd's own interchange, which counts the calls"
        )
    blocks = adapter.translate_transformer_lens_path("blocks")
    hook_points = [hook_point for hook_point in find_hook_points(adapter, model) if hook_point.layer == 0]
    dimensions = _dimensions(model.config)
    modules = {hook_point.component: _module(hook_point, blocks) for hook_point in hook_points}
    cls = type(model)
    type_to_module_mapping[cls] = {**type_to_module_mapping.get(cls, {}), **modules}
    others = {key: names for key, names in type_to_dimension_mapping.get(cls, {}).items() if key not in modules}
    type_to_dimension_mapping[cls] = {**others, **dimensions}


@functools.cache
def _learn(cls: type) -> None:
    """Adds a class, using a small model of one block; keeps pyvene's own entry if that fails."""
    if not issubclass(cls, PreTrainedModel) or cls.config_class is None or not is_known(cls):
        return
    try:
        config = cls.config_class()
        for part in (config, *(part for part in vars(config).values() if isinstance(part, PretrainedConfig))):
            part.num_hidden_layers = 1
        with torch.device("meta"):
            model = cls(config)
        teach_model(model)
    except (AttributeError, ImportError, TypeError, ValueError):
        # No usable default config.
        return


def _module(hook_point: HookPoint, blocks: str) -> tuple[Any, ...]:
    path = hook_point.module.replace(f"{blocks}.0", f"{blocks}[%s]", 1)
    hook = CONST_INPUT_HOOK if hook_point.side == "input" else CONST_OUTPUT_HOOK
    return (path, hook, (split_head_and_permute, "n_head")) if hook_point.component == _BY_HEAD else (path, hook)


def _dimensions(config: PretrainedConfig) -> dict[str, tuple[str, ...]]:
    """Widths as names in a config, because pyvene keeps one entry for models of every size.

    If a width is left out, a vanilla intervention takes all columns. The width of the attention's values is left out if
    the config has a `head_dim`: pyvene's notation has no product of two names, and `hidden_size` would be only a part.
    """
    text = config.get_text_config()
    prefix = next((f"{key}." for key, part in vars(config).items() if part is text), "")
    heads, width, head_dim = f"{prefix}num_attention_heads", f"{prefix}hidden_size", f"{prefix}head_dim"
    block = ("block_input", "block_output", "attention_output", "mlp_output")
    dimensions: dict[str, tuple[str, ...]] = {"n_head": (heads,)} | {component: (width,) for component in block}
    if "head_dim" in text.to_dict():
        return dimensions | {_BY_HEAD: (head_dim, f"{width}/{heads}")}
    return dimensions | {"attention_value_output": (width,), _BY_HEAD: (f"{width}/{heads}",)}


def _representation(given: Any) -> Any:
    """A representation, of which pyvene also takes the fields, by name or in order."""
    if isinstance(given, pyvene.RepresentationConfig):
        return given
    return pyvene.RepresentationConfig(**given) if isinstance(given, Mapping) else pyvene.RepresentationConfig(*given)


def _part_faults(part: Any) -> list[str]:
    """The fields of one representation that are not in a vanilla interchange intervention."""
    faults = [
        f"{key}: {_shown(getattr(part, key))} given, which is {reason}"
        for key, reason in _REFUSED_FIELDS.items()
        if getattr(part, key) is not None and not (key == "low_rank_dimension" and _is_learned(part))
    ]
    if part.intervention is not None and not _is_learned(part):
        faults.append(f"intervention: {_shown(part.intervention)} given, {_NOT_VANILLA}")
    if part.intervention_type is not None and not _is_vanilla(part.intervention_type):
        faults.append(f"intervention_type: {_shown(part.intervention_type)} given, {_NOT_VANILLA}")
    return faults


def _config_faults(config: pyvene.IntervenableConfig) -> list[str]:
    """The fields of a config, other than its representations, that are not in a vanilla, parallel intervention."""
    faults = []
    if config.mode != "parallel":
        faults.append(f"mode: {config.mode!r} given; only 'parallel' interventions are supported")
    types = config.intervention_types if isinstance(config.intervention_types, list) else [config.intervention_types]
    by_part = map(_representation, config.representations)
    if all(part.intervention_type is part.intervention is None for part in by_part):
        # Otherwise pyvene copied them from the representations, which have been checked already.
        wrong = {_shown(kind): None for kind in types if not _is_vanilla(kind)}
        faults += [f"intervention_types: {kind} given, {_NOT_VANILLA}" for kind in wrong]
    if any(config.intervention_constant_sources or ()):
        faults.append("intervention_constant_sources: a constant source; here a source is always an input")
    plain = vars(pyvene.IntervenableConfig([]))
    own = {key: value for key, value in vars(config).items() if key not in _OF_CONFIG and not key.startswith("_")}
    own.pop("transformers_version", None)  # written by transformers when a config is loaded
    return faults + [
        f"{key}: {_shown(value)} given, which is not a field of an intervention"
        for key, value in own.items()
        if key not in plain or plain[key] != value
    ]


def _is_vanilla(kind: object) -> bool:
    """Whether a type of intervention is the vanilla one; a config that pyvene saved holds `str` of the type."""
    return kind in (pyvene.VanillaIntervention, str(pyvene.VanillaIntervention))


def _site_fields(part: Any) -> dict[str, object]:
    """The fields of a representation that a `Site` has, under the same names."""
    learned = _directions(part.intervention) if _is_learned(part) else None
    return {**{key: getattr(part, key) for key in _OF_SITES}, "basis": learned}


def _directions(learned: LowRankRotatedSpaceIntervention) -> Basis:
    weight: Any = learned.rotate_layer.weight  # torch cannot distinguish a module's parameters from its methods
    return Basis.of(orthonormal(weight.detach().float().cpu().numpy()))


def _is_learned(part: Any) -> bool:
    """Whether the representation holds directions that were learned."""
    return isinstance(part.intervention, LowRankRotatedSpaceIntervention)


def _listed(partition: Sequence[Sequence[int]] | None) -> list[list[int]] | None:
    return None if partition is None else [list(part) for part in partition]


def _shown(value: object) -> str:
    return value.__name__ if isinstance(value, type) else repr(value)
