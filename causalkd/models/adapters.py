"""The adapters that TransformerLens 4.3 lacks: for DistilBERT, for `architectures.py`, for further prediction heads.

Without an entry of its own, a classification, tagging or question answering head silently gets its language model's
adapter (right blocks, absent head) or raises. Here the adapter of such a head is made from its language model's, for
every architecture that TransformerLens or our table knows, and registered with TransformerLens, so that its own
`boot_transformers` works on the model as well.
"""

import itertools
from functools import cache
from typing import Any

from transformer_lens.factories import architecture_adapter_factory as factory
from transformer_lens.model_bridge.architecture_adapter import ArchitectureAdapter
from transformer_lens.model_bridge.generalized_components import (
    AttentionBridge,
    BlockBridge,
    EmbeddingBridge,
    LinearBridge,
    MLPBridge,
    NormalizationBridge,
    PosEmbedBridge,
    UnembeddingBridge,
)
from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_config_from_hf
from transformers import PreTrainedConfig, PreTrainedModel

from causalkd.models.architectures import Architecture, architecture_of, refusal_of
from causalkd.models.heads import HEAD_NAMES, head_classes

# The modules where heads other than language-model heads keep their last linear map.
_HEAD_MODULES = ("score", "classifier.out_proj", "classifier", "qa_outputs")
_LANGUAGE_MODELS = (HEAD_NAMES["masked_lm"][0], HEAD_NAMES["causal_lm"][0])


class DistilBertArchitectureAdapter(ArchitectureAdapter):
    """DistilBERT: post-norm encoder blocks without token types."""

    supports_generation: bool = False

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        cfg.normalization_type, cfg.final_rms = "LN", False
        cfg.positional_embedding_type, cfg.attention_dir = "standard", "bidirectional"
        cfg.gated_mlp = cfg.attn_only = False
        # Folding assumes a norm before each sublayer; here it comes after.
        self.supports_fold_ln = False
        self.weight_processing_conversions = dict(self._qkvo_weight_conversions())
        attention = {"q": "q_lin", "k": "k_lin", "v": "v_lin", "o": "out_lin"}
        mlp = {"in": "ffn.lin1", "out": "ffn.lin2"}
        self.component_mapping = {
            "embed": EmbeddingBridge(name="distilbert.embeddings.word_embeddings"),
            "pos_embed": PosEmbedBridge(name="distilbert.embeddings.position_embeddings"),
            "embed_ln": self._norm("distilbert.embeddings.LayerNorm"),
            "blocks": BlockBridge(
                name="distilbert.transformer.layer",
                hook_alias_overrides={"hook_mlp_out": "mlp.out.hook_out", "hook_mlp_in": "mlp.in.hook_in"},
                submodules={
                    "ln1": self._norm("sa_layer_norm"),
                    "ln2": self._norm("output_layer_norm"),
                    "attn": AttentionBridge(
                        name="attention",
                        config=self.cfg,
                        submodules={part: LinearBridge(name=name) for part, name in attention.items()},
                    ),
                    # No single module is the MLP that a bridge could replace: `ffn` holds in, activation and out.
                    "mlp": MLPBridge(
                        name=None,
                        config=self.cfg,
                        submodules={part: LinearBridge(name=name) for part, name in mlp.items()},
                    ),
                },
            ),
            "mlm_head": LinearBridge(name="vocab_transform"),
            "ln_final": self._norm("vocab_layer_norm"),
            "unembed": UnembeddingBridge(name="vocab_projector"),
        }

    def _norm(self, name: str) -> NormalizationBridge:
        return NormalizationBridge(name=name, config=self.cfg, use_native_layernorm_autograd=True)


class TableAdapter(ArchitectureAdapter):
    """The names of an architecture in our table: enough to find its hook points, not to boot a bridge."""

    supports_generation: bool = False

    def __init__(self, cfg: Any, architecture: Architecture, body: str) -> None:
        super().__init__(cfg)
        cfg.attention_dir = "causal" if architecture.causal else "bidirectional"
        self.repeats = architecture.repeats
        start = f"{body}." if body else ""
        self._paths = {"embed": start + architecture.embedding, "blocks": start + architecture.blocks}
        self._inside = {"attn.o": architecture.attention_output, "mlp.out": architecture.mlp_output}
        self.component_mapping = {}

    def translate_transformer_lens_path(self, path: str, last_component_only: bool = False) -> str:
        """The stock path of a TransformerLens name."""
        blocks, _, inside = path.partition(".")
        layer, _, part = inside.partition(".")
        found = self._paths.get(blocks)
        if inside:
            found = f"{found}.{layer}" if blocks == "blocks" and layer.isdigit() else None
        if part:
            last = self._inside.get(part)
            found = None if found is None or last is None else f"{found}.{last}"
        if found is None:
            raise ValueError(f"{path!r} is not the name of a module of this architecture")
        return found.rpartition(".")[2] if last_component_only else found


def _with_head(base: type[ArchitectureAdapter], architecture: str) -> type[ArchitectureAdapter]:
    """The adapter of another prediction head, made from the adapter `base` of its language model."""

    def prepare_model(self: ArchitectureAdapter, hf_model: Any) -> None:
        """Finds this head and this body; a base adapter would look for its language-model head here."""
        body = language_model_of(type(hf_model.config))
        assert body is not None
        if body.base_model_prefix != hf_model.base_model_prefix:
            self._reprefix_components(f"{body.base_model_prefix}.", f"{hf_model.base_model_prefix}.")
        modules = {name for name, _ in hf_model.named_modules()}
        for part in [part for part, bridge in self.components.items() if bridge.name and bridge.name not in modules]:
            self.components.pop(part)
        head = next((name for name in _HEAD_MODULES if name in modules), None)
        if head is not None:
            self.components["unembed"] = UnembeddingBridge(name=head)

    return type(f"{architecture}Adapter", (base,), {"prepare_model": prepare_model})


@cache
def _named_adapters() -> dict[str, type[ArchitectureAdapter]]:
    """An adapter for every prediction head that TransformerLens lacks for an architecture that it knows, by model
    class.
    """
    known = {**factory.SUPPORTED_ARCHITECTURES, "DistilBertForMaskedLM": DistilBertArchitectureAdapter}
    made: dict[str, type[ArchitectureAdapter]] = {"DistilBertForMaskedLM": DistilBertArchitectureAdapter}
    for heads in itertools.chain.from_iterable(HEAD_NAMES.values()):
        for model_type, architecture in heads.items():
            names = [models.get(model_type, "") for models in _LANGUAGE_MODELS]
            base = next((known[name] for name in names if isinstance(name, str) and name in known), None)
            if base is not None and isinstance(architecture, str) and architecture not in known:
                made[architecture] = _with_head(base, architecture)
    return made


def language_model_of(config: type[PreTrainedConfig]) -> type[PreTrainedModel] | None:
    """The language model of an adapter whose body this type of configuration makes."""
    found = (*head_classes(config, "masked_lm"), *head_classes(config, "causal_lm"))
    return next((model for model in found if model.__name__ in factory.SUPPORTED_ARCHITECTURES), None)


def register_adapters() -> None:
    """Add the missing adapters to TransformerLens; a second call changes nothing."""
    for architecture, adapter in _named_adapters().items():
        if architecture in factory.SUPPORTED_ARCHITECTURES:
            continue
        factory.ArchitectureAdapterFactory.register_adapter(architecture, adapter)
        # TransformerLens detects architectures by this table, which `register_adapter` does not change.
        factory.SUPPORTED_ARCHITECTURES[architecture] = adapter


def is_known(model: type[PreTrainedModel]) -> bool:
    """Whether our table or TransformerLens names the hook points of this class of models."""
    register_adapters()
    config = model.config_class
    return config is not None and (
        architecture_of(config.model_type) is not None or model.__name__ in factory.SUPPORTED_ARCHITECTURES
    )


def adapter_for(model: PreTrainedModel) -> ArchitectureAdapter:
    """TransformerLens' adapter for a stock model; the model is not changed.

    Raises:
        ValueError: No adapter knows the model's class, or it is an encoder-decoder model.
    """
    register_adapters()
    architecture = type(model).__name__
    refusal = refusal_of(model.config, model)
    if refusal is not None:
        raise ValueError(f"{architecture} {refusal}")
    if not is_known(type(model)):
        raise ValueError(
            f"{architecture} has no TransformerLens adapter, so its hook points have no names. Use one of the "
            "supported classes, or add the architecture with causalkd.models.architectures.register_architecture."
        )
    try:
        return _fitted(model, architecture)
    except (AttributeError, KeyError, NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"TransformerLens' adapter for {architecture} does not take this configuration "
            f"({type(error).__name__}: {error}); use another architecture"
        ) from error


def _fitted(model: PreTrainedModel, architecture: str) -> ArchitectureAdapter:
    config = build_bridge_config_from_hf(model.config, architecture, model.name_or_path or architecture, model.dtype)
    described = architecture_of(model.config.model_type)
    if described is not None:
        for name, value in described.requires.items():
            if getattr(model.config, name) != value:
                raise ValueError(f"{name} is {getattr(model.config, name)!r}, where it must be {value!r}")
        return TableAdapter(config, described, model.base_model_prefix)
    # Some adapters demand libraries that read images, which a model needs for nothing when it is given text alone.
    known = factory.SUPPORTED_ARCHITECTURES[architecture]
    adapter: ArchitectureAdapter = type(known.__name__, (known,), {"required_libraries": []})(config)
    if architecture in _named_adapters():  # those of TransformerLens change the model here
        adapter.prepare_model(model)
    return adapter


def is_causal(adapter: ArchitectureAdapter, model: PreTrainedModel) -> bool:
    """Whether a token of this model attends only to itself and earlier tokens; a BERT can be configured as a
    decoder.
    """
    return adapter.cfg.attention_dir == "causal" or bool(model.config.get_text_config().to_dict().get("is_decoder"))
