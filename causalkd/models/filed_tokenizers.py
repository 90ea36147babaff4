"""A tokenizer as its own files describe it, whichever tokenizer its type of model usually has.

Of many types of models transformers takes only the vocabulary of a tokenizer.json and splits text as these types
usually do, so that a tokenizer with its own normalizer or pre-tokenizer gives other tokens than it was made with.
"""

import json
import warnings
from pathlib import Path
from typing import Any

from huggingface_hub import try_to_load_from_cache
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

WORDS = "tokenizer.json"
SETTINGS = "tokenizer_config.json"
_OF_A_TOKENIZER = ("tokenizer*", "vocab*", "merges*", "*.model", "*.tiktoken")
_PROBES = (
    "The Quick brown FOX doesn't jump; it's 12 or 3456789 feet (99.5%)!",
    "  two spaces,   three, and one at the end ",
    "def f(x):\n\n    return x\n\tend\r\n \n",
    "<think>\nOkay, so...\n</think>",
    "Café naïve Œuvre Straße, cafe\u0301, \ufb01ne ① １２, 猫と犬 кот 🙂 \u200b\u00a0.",
)
_MOST_ENTRIES = 2000


def folder_of_files(location: str, revision: str | None) -> Path:
    """The folder with the files of a checkpoint or tokenizer: itself, or where the hub's were stored when loaded."""
    if not Path(location).is_dir():
        for name in (SETTINGS, WORDS, "config.json"):
            cached = try_to_load_from_cache(location, name, revision=revision)
            if isinstance(cached, str):
                return Path(cached).parent
    return Path(location)


def has_tokenizer_files(folder: Path) -> bool:
    """Whether a folder has any file of a tokenizer."""
    return any(file.is_file() for names in _OF_A_TOKENIZER for file in folder.glob(names))


def as_filed(found: PreTrainedTokenizerBase, folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer itself where it splits text as its tokenizer.json says, otherwise the one of that file.

    Both are compared by what they make of a few texts and of the vocabulary's own entries. Special tokens and the chat
    template are kept.

    Raises:
        ValueError: tokenizer_config.json contradicts tokenizer.json.
    """
    if not (folder / WORDS).is_file() or not _has_a_way_of_its_own(found):
        return found
    kept: dict[str, Any] = {"model_input_names": found.model_input_names, "padding_side": found.padding_side}
    filed = PreTrainedTokenizerFast.from_pretrained(str(folder), trust_remote_code=False, **kept)
    entries, named, known = filed.get_vocab(), filed.special_tokens_map, found.special_tokens_map
    further = {name: word for name, word in known.items() if name not in named and isinstance(word, str)}
    filed.add_special_tokens({name: word for name, word in further.items() if word in entries})
    if split_alike(found, filed):
        return found
    _refuse_contradictions(folder, filed)
    filed.name_or_path = found.name_or_path
    warnings.warn(
        f"transformers makes of {folder / WORDS} a {type(found).__name__}, which splits text otherwise than that file "
        "says; it is read as the file says. Outside of causalkd, read it and what is saved with it by "
        "PreTrainedTokenizerFast.from_pretrained, not by AutoTokenizer",
        stacklevel=2,
    )
    return filed


def _has_a_way_of_its_own(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether its class may split text in another way than a tokenizer.json says."""
    return isinstance(tokenizer, PreTrainedTokenizerFast) and type(tokenizer) is not PreTrainedTokenizerFast


def split_alike(
    first: PreTrainedTokenizerBase, second: PreTrainedTokenizerBase, *, special_tokens: bool = False
) -> bool:
    """Whether two tokenizers make the same of a few texts and of the entries of the second.

    Args:
        first: A tokenizer.
        second: Another one.
        special_tokens: Whether the tokens that they add to a text count too, such as one at its beginning.
    """
    entries = sorted(second.get_vocab())
    texts = (*_PROBES, " ".join(entries[:: len(entries) // _MOST_ENTRIES + 1]))
    made = (
        [each(text, add_special_tokens=special_tokens, verbose=False)["input_ids"] for text in texts]
        for each in (first, second)
    )
    return next(made) == next(made)


def _refuse_contradictions(folder: Path, filed: PreTrainedTokenizerFast) -> None:
    """Refuses settings that say otherwise than what the other file does: either may be the one that was meant."""
    file = folder / SETTINGS
    settings = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    for name, done in _changes(filed).items():
        given = settings.get(name)
        if isinstance(given, bool) and given != done:
            raise ValueError(
                f"{SETTINGS} says `{name}`: {json.dumps(given)}, but {WORDS} does {'so' if done else 'not'} when it "
                "splits text; let both say what the tokenizer was trained with"
            )


def _changes(tokenizer: PreTrainedTokenizerFast) -> dict[str, bool]:
    """Whether a tokenizer changes text before it looks for its entries, by the name of the setting that asks for it."""
    backend = tokenizer.backend_tokenizer
    before, between = backend.normalizer, backend.pre_tokenizer

    def changed(text: str) -> str:
        return text if before is None else before.normalize_str(text)

    letter = changed("a")
    pieces = letter if between is None else "".join(piece for piece, _ in between.pre_tokenize_str(letter))
    return {
        "do_lower_case": changed("A") == letter,
        "strip_accents": changed("\u00e9") == changed("e"),
        "tokenize_chinese_chars": len(changed("猫犬").split()) > 1,
        "add_prefix_space": pieces.casefold() != "a",
    }
