"""A tokenizer splits text as its tokenizer.json says, whichever class transformers makes of it."""

import json
import re
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from causalkd.models import checkpoints, filed_tokenizers
from causalkd.models.checkpoints import find_tokenizer, read_tokenizer
from causalkd.models.filed_tokenizers import folder_of_files
from tests.models.small import word_tokenizer
from tests.tiny import tiny

TEXT = "Hello CAT 2024"


def bytes_in_lower_case() -> Tokenizer:
    entries = ["<pad>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = Tokenizer(models.BPE({entry: number for number, entry in enumerate(entries)}, []))
    made.normalizer, made.decoder = normalizers.Lowercase(), decoders.ByteLevel()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


def cased_pieces() -> Tokenizer:
    """All of its entries are words with a capital, none of which the texts of the comparison have."""
    entries = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "Hello", "CAT")
    made = Tokenizer(models.WordPiece({entry: number for number, entry in enumerate(entries)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.BertNormalizer(lowercase=False), pre_tokenizers.BertPreTokenizer()
    return made


def write(folder: Path, model_type: str, tokenizer: Tokenizer, **settings: object) -> None:
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    tokenizer.save(str(folder / "tokenizer.json"))
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))


@pytest.mark.parametrize(
    ("model_type", "tokenizer", "settings"),
    [
        ("qwen2", bytes_in_lower_case(), {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "<pad>"}),
        ("gpt2", bytes_in_lower_case(), {"tokenizer_class": "GPT2Tokenizer", "chat_template": "{{ bos_token }}"}),
        ("gpt_neox", bytes_in_lower_case(), {}),
        ("bert", cased_pieces(), {}),
        ("distilbert", cased_pieces(), {"tokenizer_class": "DistilBertTokenizerFast"}),
    ],
)
def test_the_file_says_how_text_is_split(
    model_type: str, tokenizer: Tokenizer, settings: dict[str, str], tmp_path: Path
) -> None:
    write(tmp_path, model_type, tokenizer, **settings)
    with pytest.warns(
        UserWarning, match=r"splits text otherwise than that file says.*PreTrainedTokenizerFast\.from_pre"
    ):
        found = find_tokenizer(tmp_path)
    assert found is not None
    assert found(TEXT, add_special_tokens=False)["input_ids"] == tokenizer.encode(TEXT, add_special_tokens=False).ids
    # What the class knows of its type of model, the tokens of the vocabulary alone, and its inputs, stays.
    assert len(found) == tokenizer.get_vocab_size()
    assert found.pad_token == settings.get("pad_token", "[PAD]" if "bert" in model_type else None)
    assert found.chat_template == settings.get("chat_template")
    made = AutoTokenizer.from_pretrained(tmp_path)
    assert found.model_input_names == made.model_input_names
    found.save_pretrained(tmp_path / "again")
    again = PreTrainedTokenizerFast.from_pretrained(tmp_path / "again")
    assert again.model_input_names == made.model_input_names and again.pad_token == found.pad_token


def test_a_tokenizer_of_another_kind_than_transformers_makes(tmp_path: Path) -> None:
    """Of a Qwen2 it makes the tokenizer that these usually have, which took every word of this one for nothing."""
    tiny("qwen2", "causal_lm").save_pretrained(tmp_path)
    word_tokenizer().save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="makes of .* a Qwen2Tokenizer"):
        found = read_tokenizer(tmp_path)
    assert found.get_vocab() == word_tokenizer().get_vocab() and found.tokenize("w1") == ["w1"]


def test_two_files_that_contradict_each_other(tmp_path: Path) -> None:
    write(tmp_path, "bert", cased_pieces(), do_lower_case=True)
    told = "tokenizer_config.json says `do_lower_case`: true, but tokenizer.json does not when it splits text; let both"
    with pytest.raises(ValueError, match=re.escape(told)):
        find_tokenizer(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    found = find_tokenizer(tmp_path)
    assert found is not None and type(found).__name__ == "BertTokenizer" and found.tokenize("Hello") == ["Hello"]


def lower_case_in_steps() -> Tokenizer:
    made = cased_pieces()
    steps = [normalizers.NFD(), normalizers.Lowercase(), normalizers.StripAccents()]
    made.normalizer = normalizers.Sequence(steps)  # type: ignore[arg-type]
    return made


def bytes_after_a_space() -> Tokenizer:
    made = bytes_in_lower_case()
    made.normalizer, made.pre_tokenizer = None, pre_tokenizers.ByteLevel(add_prefix_space=True)  # type: ignore
    return made


@pytest.mark.parametrize(
    ("model_type", "tokenizer", "settings", "told"),
    [
        ("bert", lower_case_in_steps(), {"do_lower_case": False}, "`do_lower_case`: false, but tokenizer.json does so"),
        (
            "bert",
            lower_case_in_steps(),
            {"do_lower_case": True, "strip_accents": False},
            "`strip_accents`: false, but tokenizer.json does so",
        ),
        ("bert", cased_pieces(), {"tokenize_chinese_chars": False}, "`tokenize_chinese_chars`: false, but"),
        ("gpt2", bytes_after_a_space(), {"add_prefix_space": False}, "`add_prefix_space`: false, but tokenizer.json"),
        ("gpt2", bytes_in_lower_case(), {"add_prefix_space": True}, "`add_prefix_space`: true, but tokenizer.json"),
    ],
    ids=["lower case", "accents", "Chinese", "space before", "no space before"],
)
def test_whatever_changes_text_can_contradict_the_settings(
    model_type: str, tokenizer: Tokenizer, settings: dict[str, bool], told: str, tmp_path: Path
) -> None:
    write(tmp_path, model_type, tokenizer, **settings)
    with pytest.raises(ValueError, match=re.escape(told)):
        find_tokenizer(tmp_path)


def test_a_tokenizer_of_the_hub_is_compared_with_the_file_that_was_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "bert", cased_pieces())
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    monkeypatch.setattr(
        filed_tokenizers,
        "try_to_load_from_cache",
        lambda name, file, revision: str(tmp_path / file) if revision else None,
    )
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: loaded)
    assert folder_of_files("some/model", None) == Path("some/model")
    with pytest.warns(UserWarning, match="BertTokenizer, which splits text otherwise"):
        assert read_tokenizer("some/model", "v1").tokenize("Hello CAT") == ["Hello", "CAT"]


@pytest.mark.parametrize("file", ["tokenizer_config.json", "vocab.txt", "spiece.model"])
def test_a_tokenizer_that_cannot_be_loaded_is_no_missing_one(
    file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a student of Japanese would be given the teacher's English tokenizer."""

    def lacking(*_: object, **__: object) -> None:
        raise ImportError("You need to install fugashi")

    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    monkeypatch.setattr(checkpoints.AutoTokenizer, "from_pretrained", lacking)
    assert find_tokenizer(tmp_path) is None
    (tmp_path / file).write_text("{}")
    with pytest.raises(ValueError, match="cannot be loaded: ImportError: You need to install fugashi; install what it"):
        find_tokenizer(tmp_path)
