"""The adapters TransformerLens 4.3 lacks: DistilBERT, and the classification, tagging and QA heads.

Without an entry of its own, a head of BERT, GPT-2, OPT, GPT-NeoX, Llama or Qwen2 silently gets its language model's
adapter (right blocks, absent head) and RoBERTa heads and DistilBERT raise. `register_adapters` closes both gaps inside
TransformerLens, so its own `boot_transformers` works on these models as well.
"""

from collections.abc import Callable
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
from transformer_lens.model_bridge.supported_architectures import (
    BertArchitectureAdapter,
    GPT2ArchitectureAdapter,
    LlamaArchitectureAdapter,
    NeoxArchitectureAdapter,
    OptArchitectureAdapter,
    Qwen2ArchitectureAdapter,
    RobertaArchitectureAdapter,
)
from transformers import PreTrainedModel

# Parts of a BERT-like masked-LM head that no other head has.
_MASKED_LM_HEAD = ("mlm_head", "ln_final")


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
                    # No single module is the MLP for a bridge to replace: `ffn` holds in, activation and out.
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


def _with_head(
    base: type[ArchitectureAdapter], head: str, drop: tuple[str, ...] = (), prefix: tuple[str, str] | None = None
) -> type[ArchitectureAdapter]:
    """The adapter `base` with its language-model head replaced by the module `head`."""

    def __init__(self: ArchitectureAdapter, cfg: Any) -> None:
        base.__init__(self, cfg)
        for name in drop:
            self.components.pop(name)
        self.components["unembed"] = UnembeddingBridge(name=head)
        if prefix is not None:
            self._reprefix_components(*prefix)

    def prepare_model(self: ArchitectureAdapter, hf_model: Any) -> None:
        """Nothing to fix up: the base adapters look for their language-model heads here."""

    name = f"{base.__name__.removesuffix('ArchitectureAdapter')}{head.title().replace('_', '').replace('.', '')}Adapter"
    return type(name, (base,), {"__init__": __init__, "prepare_model": prepare_model})


@cache
def _head_adapters() -> dict[str, type[ArchitectureAdapter]]:
    qa_prefix = ("model.", "transformer.")
    make: Callable[..., type[ArchitectureAdapter]] = _with_head
    bert, roberta, distil = BertArchitectureAdapter, RobertaArchitectureAdapter, DistilBertArchitectureAdapter
    gpt2, opt, neox = GPT2ArchitectureAdapter, OptArchitectureAdapter, NeoxArchitectureAdapter
    llama, qwen2 = LlamaArchitectureAdapter, Qwen2ArchitectureAdapter
    return {
        "DistilBertForMaskedLM": distil,
        "BertForSequenceClassification": make(bert, "classifier", _MASKED_LM_HEAD),
        "BertForTokenClassification": make(bert, "classifier", _MASKED_LM_HEAD),
        "BertForQuestionAnswering": make(bert, "qa_outputs", _MASKED_LM_HEAD),
        "RobertaForSequenceClassification": make(roberta, "classifier.out_proj", _MASKED_LM_HEAD),
        "RobertaForTokenClassification": make(roberta, "classifier", _MASKED_LM_HEAD),
        "RobertaForQuestionAnswering": make(roberta, "qa_outputs", _MASKED_LM_HEAD),
        "DistilBertForSequenceClassification": make(distil, "classifier", _MASKED_LM_HEAD),
        "DistilBertForTokenClassification": make(distil, "classifier", _MASKED_LM_HEAD),
        "DistilBertForQuestionAnswering": make(distil, "qa_outputs", _MASKED_LM_HEAD),
        "GPT2ForSequenceClassification": make(gpt2, "score"),
        "GPT2ForTokenClassification": make(gpt2, "classifier"),
        "GPT2ForQuestionAnswering": make(gpt2, "qa_outputs"),
        "OPTForSequenceClassification": make(opt, "score"),
        "OPTForQuestionAnswering": make(opt, "qa_outputs"),
        "GPTNeoXForSequenceClassification": make(neox, "score"),
        "GPTNeoXForTokenClassification": make(neox, "classifier"),
        "GPTNeoXForQuestionAnswering": make(neox, "qa_outputs"),
        "LlamaForSequenceClassification": make(llama, "score"),
        "LlamaForTokenClassification": make(llama, "score"),
        "LlamaForQuestionAnswering": make(llama, "qa_outputs", prefix=qa_prefix),
        "Qwen2ForSequenceClassification": make(qwen2, "score"),
        "Qwen2ForTokenClassification": make(qwen2, "score"),
        "Qwen2ForQuestionAnswering": make(qwen2, "qa_outputs", prefix=qa_prefix),
    }


def register_adapters() -> None:
    """Add the missing adapters to TransformerLens; calling it again changes nothing."""
    for architecture, adapter in _head_adapters().items():
        if architecture in factory.SUPPORTED_ARCHITECTURES:
            continue
        factory.ArchitectureAdapterFactory.register_adapter(architecture, adapter)
        # Detection reads this table, which `register_adapter` leaves alone.
        factory.SUPPORTED_ARCHITECTURES[architecture] = adapter


def adapter_for(model: PreTrainedModel) -> ArchitectureAdapter:
    """TransformerLens' adapter for a stock model; reads the model, changes nothing in it.

    Raises:
        ValueError: No adapter knows the model's class.
    """
    register_adapters()
    architecture = type(model).__name__
    if architecture not in factory.SUPPORTED_ARCHITECTURES:
        raise ValueError(
            f"{architecture} has no TransformerLens adapter, so its places have no names. "
            "Use one of the supported model classes, or register an adapter with TransformerLens first."
        )
    config = build_bridge_config_from_hf(model.config, architecture, model.name_or_path or architecture, model.dtype)
    return factory.ArchitectureAdapterFactory.select_architecture_adapter(config)
