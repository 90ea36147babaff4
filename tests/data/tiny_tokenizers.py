"""Small real tokenizers, trained here on a few words: one like BERT's, one like GPT-2's, one like Llama's."""

import copy
from collections.abc import Callable
from functools import cache, wraps

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

WORDS = (
    "the quick brown fox jumps over the lazy dog a cat sat on the mat in Paris and it was fine , who ran where ? "
    "every mammal strolls some birds sing no beagle walks"
)


def _trained_once(make: Callable[[], PreTrainedTokenizerFast]) -> Callable[[], PreTrainedTokenizerFast]:
    """Each call gives a copy of its own: a tokenizer keeps what it was last asked for, such as its padding."""
    made = cache(make)

    @wraps(make)
    def copied() -> PreTrainedTokenizerFast:
        return copy.deepcopy(made())

    return copied


@_trained_once
def bert_like() -> PreTrainedTokenizerFast:
    """Word pieces, `[CLS] a [SEP] b [SEP]`, token types, 64 tokens at most."""
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer = normalizers.BertNormalizer()
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=special, show_progress=False)
    backend.train_from_iterator([WORDS], trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    backend.decoder = decoders.WordPiece()
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), special, strict=True))
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, model_input_names=inputs, **names)


@_trained_once
def gpt2_like() -> PreTrainedTokenizerFast:
    """Byte-level pairs whose offsets include the space before a word; no special tokens but the end of a text."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=320, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([WORDS] * 3, trainer)
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, eos_token="<|endoftext|>")


@_trained_once
def llama_like() -> PreTrainedTokenizerFast:
    """Pieces with a mark for the space before them, and a token that begins each text."""
    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=150, special_tokens=special, show_progress=False)
    backend.train_from_iterator([WORDS] * 3, trainer)
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", 1)]
    )
    backend.decoder = decoders.Metaspace(prepend_scheme="first")
    names = dict(zip(("unk_token", "bos_token", "eos_token"), special, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=64, **names)


ALL = (bert_like, gpt2_like, llama_like)
