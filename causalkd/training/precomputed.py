"""A teacher's outputs in a folder: safetensors shards with an index, written once and read memory-mapped.

FOLDER/index.json                the identity of the outputs
FOLDER/manifest.json             the files that were written, with their digests
FOLDER/outputs-R-N.safetensors   shard N of process R: tensors named KEY/NAME, a key for each row and question
"""

import json
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load, save, save_file
from torch import Tensor

from causalkd.files.manifest import damage, write_manifest
from causalkd.files.refusals import refused
from causalkd.files.whole_files import replace_whole, write_whole
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.training.teacher_cache import TeacherCache

INDEX = "index.json"
_SHARD_BYTES = 2**28
_PATTERN = "outputs-*.safetensors"


class Shards(MutableMapping[bytes, bytes]):
    """Rows in the shards of a folder, by key: existing rows are read memory-mapped, new ones fill new shards.

    A shard is written in one step, so that the shards of a killed process are complete.

    Args:
        folder: The folder of the shards.
        process: Number of the process, which writes shards of its own.
        shard_bytes: The approximate size of a shard.

    Raises:
        ValueError: A shard is damaged.
    """

    def __init__(self, folder: Path, process: int = 0, shard_bytes: int = _SHARD_BYTES) -> None:
        self._folder, self._process, self._shard_bytes = folder, process, shard_bytes
        self._files: dict[Path, Any] = {}
        self._where: dict[str, tuple[Path, list[str]]] = {}
        self._new: dict[str, Mapping[str, Tensor]] = {}
        self._size = 0
        for path in sorted(folder.glob(_PATTERN)):
            self._open(path)

    def __getitem__(self, key: bytes) -> bytes:
        name = key.hex()
        if name in self._new:
            return save(dict(self._new[name]))
        path, parts = self._where[name]
        return save({part: self._files[path].get_tensor(f"{name}/{part}") for part in parts})

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._new[key.hex()] = load(value)
        self._size += len(value)
        if self._size >= self._shard_bytes:
            self.flush()

    def __delitem__(self, key: bytes) -> None:
        raise NotImplementedError("rows of a shard are not deleted")

    def __iter__(self) -> Iterator[bytes]:
        return (bytes.fromhex(name) for name in (*self._where, *self._new))

    def __len__(self) -> int:
        return len(self._where) + len(self._new)

    def flush(self) -> None:
        """Writes the new rows as a shard."""
        if not self._new:
            return
        # Not their count: if a damaged shard was deleted from the folder, the others stay.
        there = self._folder.glob(f"outputs-{self._process}-*.safetensors")
        number = 1 + max((int(path.stem.rpartition("-")[2]) for path in there), default=-1)
        path = self._folder / f"outputs-{self._process}-{number:05}.safetensors"
        tensors = {f"{name}/{part}": tensor for name, row in self._new.items() for part, tensor in row.items()}
        replace_whole(path, lambda draft: save_file(tensors, draft))
        self._new, self._size = {}, 0
        self._open(path)

    def _open(self, path: Path) -> None:
        with refused(f"{path} cannot be read", "delete this file and call `causalkd precompute` again"):
            file = safe_open(path, framework="pt")
            names = list(file.keys())
        self._files[path] = file
        for name in names:
            key, _, part = name.partition("/")
            self._where.setdefault(key, (path, []))[1].append(part)


class PrecomputedOutputs(TeacherCache):
    """The outputs of a teacher in a folder, counterfactuals included.

    Args:
        teacher: The teacher, or an absent one.
        shards: The shards of the outputs.
        digest: Identifies the teacher; see `digest_of`.
        top_k: The number of logits that are kept of each prediction of a language model; None keeps all.
        is_all: Whether it replaces the teacher, so that outputs that it lacks cannot be computed.
    """

    counterfactuals = True

    def __init__(
        self, teacher: HookedModel, shards: Shards, digest: bytes, *, top_k: int | None = None, is_all: bool
    ) -> None:
        super().__init__(teacher, limit=2**63, top_k=top_k, states=True)
        self._answers, self._digest, self.is_all = shards, digest, is_all

    def _teacher_now(self) -> bytes:
        return self._digest

    @classmethod
    def read(cls, folder: Path, teacher: HookedModel) -> "PrecomputedOutputs":
        """The outputs that `causalkd precompute` has written.

        Raises:
            ValueError: The folder holds none, they are unfinished, or a file is damaged.
        """
        index = read_index(folder)
        return cls(teacher, Shards(folder), bytes.fromhex(index["teacher"]), top_k=index["top_k"], is_all=True)


def write_index(folder: Path, **described: Any) -> None:
    """Writes the index of the outputs in a folder, which says that they are complete."""
    write_whole(folder / INDEX, json.dumps(described, indent=1))
    write_manifest(folder)


def described_outputs(folder: Path) -> dict[str, Any] | None:
    """The digest of the teacher of the outputs in a folder, and how many of its predictions they keep; None if there
    are no complete outputs. No output is read.

    Raises:
        ValueError: The index cannot be read.
    """
    if not (folder / INDEX).is_file():
        return None
    index = _parsed(folder / INDEX)
    return {"teacher": index["teacher"], "top_k": index["top_k"]}


def _parsed(file: Path) -> dict[str, Any]:
    with refused(f"{file} cannot be read", "call `causalkd precompute` again"):
        index = json.loads(file.read_text(encoding="utf-8"))
        bytes.fromhex(index["teacher"])
        return {"top_k": None, **index}


def read_index(folder: Path) -> dict[str, Any]:
    """The identity of the outputs in a folder.

    Costs one reading of all files in each process that calls it; files that were not written to since are not read
    again.

    Raises:
        ValueError: There is no index, or a file was changed.
    """
    file = folder / INDEX
    if not file.is_file():
        raise ValueError(
            f"{folder} holds no precomputed outputs that are finished (no {INDEX}); call `causalkd precompute` first"
        )
    index = _parsed(file)
    if (fault := damage(folder)) is not None:
        raise ValueError(
            f"the outputs in {folder} are not as they were written: {fault}; put the file back from a copy, or delete "
            "it and call `causalkd precompute` again"
        )
    return index
