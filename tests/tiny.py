"""Tiny random stock Hugging Face models of every supported architecture and head."""

from collections.abc import Callable

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    BertConfig,
    DistilBertConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    PretrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    RobertaConfig,
)

from causalkd.task_types import Task

WIDTH, HEADS, VOCABULARY, POSITIONS, PAD = 32, 4, 97, 40, 1
LABELS = 3

_IDS = {"pad_token_id": PAD, "bos_token_id": 2, "eos_token_id": 3}
_COMMON = _IDS | {"vocab_size": VOCABULARY, "max_position_embeddings": POSITIONS}
_WIDTHS = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "intermediate_size": 2 * WIDTH}


def _bert(layers: int, dropout: float) -> PretrainedConfig:
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout, "classifier_dropout": dropout}
    return BertConfig(**_COMMON, **_WIDTHS, **rates, num_hidden_layers=layers)


def _distilbert(layers: int, dropout: float) -> PretrainedConfig:
    rates = {"dropout": dropout, "attention_dropout": dropout, "seq_classif_dropout": dropout, "qa_dropout": dropout}
    return DistilBertConfig(**_COMMON, **rates, dim=WIDTH, n_heads=HEADS, hidden_dim=2 * WIDTH, n_layers=layers)


def _roberta(layers: int, dropout: float) -> PretrainedConfig:
    rates = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout, "classifier_dropout": dropout}
    return RobertaConfig(**_COMMON, **_WIDTHS, **rates, num_hidden_layers=layers, type_vocab_size=1)


def _gpt2(layers: int, dropout: float) -> PretrainedConfig:
    rates = {"resid_pdrop": dropout, "embd_pdrop": dropout, "attn_pdrop": dropout, "classifier_dropout": dropout}
    sizes = {"n_embd": WIDTH, "n_head": HEADS, "n_layer": layers, "n_positions": POSITIONS, "n_inner": 2 * WIDTH}
    return GPT2Config(**_IDS, **rates, **sizes, vocab_size=VOCABULARY)


def _opt(layers: int, dropout: float) -> PretrainedConfig:
    rates = {"dropout": dropout, "attention_dropout": dropout, "layerdrop": 0.0}
    sizes = {"hidden_size": WIDTH, "word_embed_proj_dim": WIDTH, "num_attention_heads": HEADS, "ffn_dim": 2 * WIDTH}
    return OPTConfig(**_COMMON, **sizes, **rates, num_hidden_layers=layers)


def _gpt_neox(layers: int, dropout: float) -> PretrainedConfig:
    rates = {"hidden_dropout": dropout, "attention_dropout": dropout, "classifier_dropout": dropout}
    return GPTNeoXConfig(**_COMMON, **_WIDTHS, **rates, num_hidden_layers=layers)


def _llama(layers: int, dropout: float) -> PretrainedConfig:
    rates = {"attention_dropout": dropout, "classifier_dropout": dropout}
    return LlamaConfig(**_COMMON, **_WIDTHS, **rates, num_hidden_layers=layers, num_key_value_heads=HEADS // 2)


def _qwen2(layers: int, dropout: float) -> PretrainedConfig:
    rates = {"attention_dropout": dropout, "classifier_dropout": dropout}
    return Qwen2Config(**_COMMON, **_WIDTHS, **rates, num_hidden_layers=layers, num_key_value_heads=HEADS // 2)


_CONFIG_OF: dict[str, Callable[[int, float], PretrainedConfig]] = {
    "bert": _bert,
    "distilbert": _distilbert,
    "roberta": _roberta,
    "gpt2": _gpt2,
    "opt": _opt,
    "gpt_neox": _gpt_neox,
    "llama": _llama,
    "qwen2": _qwen2,
}

ARCHITECTURES: tuple[str, ...] = tuple(_CONFIG_OF)
ENCODERS: tuple[str, ...] = ("bert", "distilbert", "roberta")

_PROBLEMS = {"regression": "regression", "multi_label": "multi_label_classification"}
_AUTO_OF = {
    "masked_lm": AutoModelForMaskedLM,
    "causal_lm": AutoModelForCausalLM,
    "classification": AutoModelForSequenceClassification,
    "multi_label": AutoModelForSequenceClassification,
    "regression": AutoModelForSequenceClassification,
    "token_classification": AutoModelForTokenClassification,
    "question_answering": AutoModelForQuestionAnswering,
}


def _tasks_of(architecture: str) -> tuple[Task, ...]:
    language_model: Task = "masked_lm" if architecture in ENCODERS else "causal_lm"
    tags: tuple[Task, ...] = () if architecture == "opt" else ("token_classification",)  # transformers has none for OPT
    several: tuple[Task, ...] = (
        ("multi_label",) if architecture in ("bert", "gpt2") else ()
    )  # the class is the same one
    return (language_model, "classification", *several, "regression", *tags, "question_answering")


TASKS_OF: dict[str, tuple[Task, ...]] = {architecture: _tasks_of(architecture) for architecture in ARCHITECTURES}
"""The heads that transformers has for each architecture."""

MODELS: tuple[tuple[str, Task], ...] = tuple((name, task) for name in ARCHITECTURES for task in TASKS_OF[name])
"""Every (architecture, task) pair, for `pytest.mark.parametrize`."""


def tiny(
    architecture: str,
    task: Task,
    seed: int = 0,
    layers: int = 3,
    dtype: torch.dtype = torch.float32,
    dropout: float = 0.0,
    labels: int = LABELS,
) -> PreTrainedModel:
    """A stock model of width 32 with 4 heads (2 key-value heads for Llama, Qwen2), in eval mode, from a fixed seed.

    The caller's random state is left as it was. `labels` counts for classification and token classification.
    """
    config = _CONFIG_OF[architecture](layers, dropout)
    config.num_labels = {"regression": 1, "question_answering": 2}.get(task, labels)
    if task in _PROBLEMS:
        config.problem_type = _PROBLEMS[task]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _AUTO_OF[task].from_config(config, dtype=dtype)
        _widen(model)
    return model.eval()


def _widen(model: PreTrainedModel) -> None:
    """Draws matrices from N(0, 0.2): at the usual 0.02 tiny models are so linear that faults stay below tolerance."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0.0, 0.2)
            elif name.endswith("bias"):
                weight.normal_(0.0, 0.1)


def tiny_inputs(
    batch: int = 4, positions: int = 10, seed: int = 0, side: str = "right", types: bool = False
) -> dict[str, torch.Tensor]:
    """Random token ids and an attention mask whose rows end (or begin, `side="left"`) in 0, 1, 2, … pads."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(4, VOCABULARY, (batch, positions), generator=generator)
    lengths = positions - torch.arange(batch) % max(positions // 2, 1)
    mask = torch.arange(positions)[None, :] < lengths[:, None]
    mask = mask if side == "right" else mask.flip(1)
    inputs = {"input_ids": ids.masked_fill(~mask, PAD), "attention_mask": mask.long()}
    return inputs | {"token_type_ids": (torch.arange(positions) >= positions // 2).long() * mask} if types else inputs
