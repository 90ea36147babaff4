"""Tiny models and data in the place of those that the shipped recipes take from the hub."""

import json
from pathlib import Path

from transformers import PreTrainedTokenizerBase

from causalkd.models.configs import make_config
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.load import model_from_config
from causalkd.recipe.recipe import Recipe
from tests.data.tiny_tokenizers import bert_like, llama_like
from tests.official_files import write_official_files
from tests.shrunk import SHRUNK
from tests.tiny import tiny

ARCHITECTURES = {"atkd-opt": "opt", "atkd-pythia": "gpt_neox", "atkd-llama": "llama", "smollm2": "llama"}
"""The architecture of the models of each recipe with a causal language model, by how its name begins."""
_SIZES = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 16}
_TEMPLATE = "{% for message in messages %}{{ message['content'] }} </s>{% endfor %}"


def changes(name: str, folder: Path) -> list[str]:
    """What shrinks a recipe of hub models and makes it read what is written into `folder`, as for `--set`."""
    made = list(SHRUNK[name])
    if name.startswith("diito-"):
        return [*made, f"teacher.model={masked_lm(folder / 'teacher', 12)}"]
    students = [part.name for part in Recipe.load(name).students]
    if name.startswith("adkd-"):
        made += [f"students.{each}.model={masked_lm(folder / 'student', 2)}" for each in students]
        return [*made, f"teacher.model={masked_lm(folder / 'teacher', 3)}", "students.adkd.objectives.adkd.top_k=12"]
    architecture = next(each for begin, each in ARCHITECTURES.items() if name.startswith(begin))
    made += [f"teacher.model={causal_lm(architecture, folder / 'teacher', 2)}"]
    if name == "smollm2":
        return [*made, "alignment=middle", *(f"students.{each}.layers=[0]" for each in students)]
    return [*made, *(f"students.{each}.model={causal_lm(architecture, folder / 'student', 1)}" for each in students)]


def data(folder: Path) -> Path:
    """A folder for CAUSALKD_DATA: instructions, and the official files of tasks, tiny."""
    written = write_official_files(folder / "data")
    words = "fox dog cat mat bird".split()
    rows = [{"instruction": f"who ran ? {a}", "output": f"the {b} ran"} for a in words for b in words]
    (written / "instruct").mkdir(exist_ok=True)
    for name in ("alpaca_en_demo", "dolly_eval"):
        (written / "instruct" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return written


def masked_lm(folder: Path, layers: int) -> Path:
    """A folder with a BERT of random weights, which takes 512 tokens."""
    tokenizer = type(bert_like())(tokenizer_object=bert_like().backend_tokenizer, **bert_like().special_tokens_map)
    tokenizer.model_max_length = 512
    config = make_config({"model_type": "bert", **_SIZES, "num_hidden_layers": layers}, tokenizer)
    model_from_config(config, tokenizer, task="masked_lm", role="student").save_pretrained(folder)
    return folder


def causal_lm(architecture: str, folder: Path, layers: int) -> Path:
    """A folder with a causal language model of random weights, whose tokenizer has a chat template."""
    stock = tiny(architecture, "causal_lm", layers=1)
    config = stock.config
    config.num_hidden_layers, config.max_position_embeddings, config.vocab_size = layers, 80, len(_chat_tokenizer())
    config.bos_token_id, config.eos_token_id, config.pad_token_id = 1, 2, 2
    HookedModel(type(stock)(config), _chat_tokenizer(), task="causal_lm", role="student").save_pretrained(folder)
    return folder


def _chat_tokenizer() -> PreTrainedTokenizerBase:
    made = llama_like()
    made = type(made)(tokenizer_object=made.backend_tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    made.chat_template = _TEMPLATE
    made.model_max_length = 64
    return made
