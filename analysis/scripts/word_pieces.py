"""Trains a small byte-level vocabulary on a text, for language models that are trained from scratch.

`python -m analysis.scripts.word_pieces TEXT FOLDER [SIZE]` writes a tokenizer that recipes take as `data.tokenizer`.
"""

import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

END = "<|end|>"


def word_pieces(text: Path, size: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE vocabulary of `size` pieces of a UTF-8 text; its end token is also the padding token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # type: ignore[assignment]
    tokenizer.decoder = decoders.ByteLevel()  # type: ignore[assignment]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train([str(text)], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END, eos_token=END, unk_token=END, pad_token=END, model_max_length=1024
    )


if __name__ == "__main__":
    source, folder, size = sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else 2000
    word_pieces(Path(source), size).save_pretrained(folder)
