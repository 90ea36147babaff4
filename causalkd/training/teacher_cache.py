"""The teacher's outputs for each row, kept between epochs: a teacher has no dropout, so they do not change."""

import errno
import hashlib
import sqlite3
import warnings
import zlib
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from causalkd.data.batch import Batch
from causalkd.models.hooks.attention import attention_of
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.plain_weights import stored_weights
from causalkd.objectives.cached_predictions import Counterfactual

_MEBIBYTE, _GIBIBYTE = 2**20, 2**30
_ITEMS = "items of "


class TeacherCache:
    """Keeps a teacher's outputs by the content of the row, so that an outdated output cannot be read.

    The key of an output is a digest of the teacher (weights, configuration, attention), made again when its weights
    have changed, of the kind of output with all its settings, of the row's tokens and segments, and of everything else
    that the output depends on: autocast, and the tokens' positions, counted from the first, or in an encoder from the
    edge of the row. Padding is not kept: a row may be recalled in a batch with longer ones. When the limit is reached,
    nothing more is kept and nothing dropped: every epoch needs all rows once, so a dropped row would be needed before
    the one that replaced it. It then warns: a batch with one unknown row is computed whole, so a cache that holds half
    the rows saves next to nothing. With several processes on one file, each counts what it found there and what it
    wrote.

    Costs a copy of the tokens and outputs to the host, which a lookup by content needs.

    Args:
        teacher: The frozen model.
        limit: The largest number of bytes of outputs.
        path: A file to keep them in, also for later runs; None keeps them in memory.
        top_k: The number of logits to keep of each prediction of a language model, with the rest as one; None keeps
            all.
        states: Keep hidden states and activations too, so that the teacher need not run at all.

    Raises:
        ValueError: The file holds the outputs of another teacher.
    """

    counterfactuals: bool = False
    is_all: bool = False

    def __init__(
        self,
        teacher: HookedModel,
        limit: int = _GIBIBYTE,
        path: Path | None = None,
        *,
        top_k: int | None = None,
        states: bool = False,
    ) -> None:
        self.top_k, self.states = top_k, states
        self._teacher, self._limit = teacher, limit
        self._versions: list[tuple[int, int, int]] = []
        self._digest = b""
        file = None if path is None else _File(path, self._teacher_now())
        self._answers: MutableMapping[bytes, bytes] = {} if file is None else file
        self._size = 0 if file is None else file.size()
        self._is_full = False

    def recall(self, what: str, batch: Batch, depends_on: Tensor | None = None) -> dict[str, Tensor] | None:
        """The outputs kept for every row of a batch; None if a row is missing."""
        found = [self._answers.get(key) for key in self._keys(what, batch, depends_on)]
        rows = [load(each) for each in found if each is not None]
        if len(rows) < len(found):
            return None
        counted = batch.counted
        return {name.removeprefix(_ITEMS): _together(name, [row[name] for row in rows], counted) for name in rows[0]}

    def keep(self, what: str, batch: Batch, answer: Counterfactual, depends_on: Tensor | None = None) -> None:
        """Keeps an output row by row, as far as there is room.

        Tensors of three dimensions are (batch, pos, …); a list of tensors holds the items of each row.
        """
        counted = batch.counted.cpu()
        host = {name: each.detach().cpu() for name, each in answer.items() if isinstance(each, Tensor)}
        items = {name: [row.cpu() for row in each] for name, each in answer.items() if not isinstance(each, Tensor)}
        for row, key in enumerate(self._keys(what, batch, depends_on)):
            if key in self._answers:
                continue
            own = {name: each[row][counted[row]] if each.dim() == 3 else each[row] for name, each in host.items()}
            own |= {f"{_ITEMS}{name}": rows[row] for name, rows in items.items()}
            value = save({name: each.contiguous() for name, each in own.items()})
            if self._size + len(value) > self._limit:
                self._tell_full()
                continue
            self._answers[key] = value
            self._size += len(value)

    def _teacher_now(self) -> bytes:
        versions = _versions(self._teacher)
        if versions != self._versions:
            self._versions, self._digest = versions, digest_of(self._teacher)
        return self._digest

    def _tell_full(self) -> None:
        if not self._is_full:
            self._is_full = True
            warnings.warn(
                f"the teacher's outputs fill the cache of {self._limit / _MEBIBYTE:.3g} MiB with {len(self._answers)} "
                "of them; a batch with a row that is not kept runs the teacher for all its rows, so give it room for "
                "all (training.teacher_cache.max_mib), or leave it out",
                stacklevel=3,
            )

    def _keys(self, what: str, batch: Batch, depends_on: Tensor | None) -> list[bytes]:
        counted = batch.counted.cpu()
        read = {name: tensor.cpu() for name, tensor in sorted(batch.inputs.items()) if name != "attention_mask"}
        others = None if depends_on is None else depends_on.cpu()
        what_for = f"{what} {_autocast(batch.counted.device.type)}".encode()
        teacher, keys = self._teacher_now(), []
        for row, real in enumerate(counted):
            stands = real.nonzero()[:, 0]
            parts = [teacher, what_for, _bytes(stands - stands[:1] if self._teacher.decodes else stands)]
            for name, tensor in read.items():
                parts += [name.encode(), _bytes(tensor[row][real])]
            if others is not None:
                parts += [str(others.dtype).encode(), _bytes(others[row])]
            # Each part with its length, so that no two lists of parts give the same bytes.
            keys.append(hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest())
        return keys


class _File(MutableMapping[bytes, bytes]):
    """A table of keys and values in one file, which belongs to one teacher; each value has a checksum.

    Raises:
        ValueError: The file is damaged, or belongs to another teacher.
        OSError: The file cannot be read or written, for instance since the disk is full.
    """

    def __init__(self, path: Path, teacher: bytes) -> None:
        self._path = path
        with _naming(path):
            self._base = sqlite3.connect(path, isolation_level=None, timeout=60)
        # Rows are written one by one: with this journal they do not each wait for the disk.
        self._rows("PRAGMA journal_mode = WAL")
        self._rows("PRAGMA synchronous = NORMAL")
        self._rows("CREATE TABLE IF NOT EXISTS outputs (key BLOB PRIMARY KEY, value BLOB, sum INT) WITHOUT ROWID")
        self._rows("CREATE TABLE IF NOT EXISTS teacher (digest BLOB)")
        ((known,),) = self._rows("SELECT max(digest) FROM teacher")
        if known is None:
            self._rows("INSERT INTO teacher VALUES (?)", teacher)
        elif known != teacher:
            raise ValueError(
                f"{path} keeps the outputs of teacher {known.hex()[:12]}, and this one is {teacher.hex()[:12]}: other "
                "weights, configuration or attention; name another file, or delete this one"
            )

    def _rows(self, statement: str, *values: bytes | int) -> list[tuple[Any, ...]]:
        with _naming(self._path):
            return self._base.execute(statement, values).fetchall()

    def size(self) -> int:
        """The bytes of all values, which are counted without reading them."""
        return self._rows("SELECT coalesce(sum(length(value)), 0) FROM outputs")[0][0]

    def __getitem__(self, key: bytes) -> bytes:
        for found, checksum in self._rows("SELECT value, sum FROM outputs WHERE key = ?", key):
            if zlib.crc32(found) != checksum:
                raise _damaged(self._path, "a value is not what was written")
            return found
        raise KeyError(key)

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self._rows("INSERT OR REPLACE INTO outputs VALUES (?, ?, ?)", key, value, zlib.crc32(value))

    def __delitem__(self, key: bytes) -> None:
        self._rows("DELETE FROM outputs WHERE key = ?", key)

    def __iter__(self) -> Iterator[bytes]:
        return (key for (key,) in self._rows("SELECT key FROM outputs"))

    def __len__(self) -> int:
        return self._rows("SELECT count(*) FROM outputs")[0][0]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Lets an error of the database end as one that names the file: a fault of the machine, or a damaged file."""
    try:
        yield
    except sqlite3.OperationalError as error:
        number = {sqlite3.SQLITE_FULL: errno.ENOSPC, sqlite3.SQLITE_READONLY: errno.EACCES}.get(
            error.sqlite_errorcode & 0xFF, errno.EIO
        )
        raise OSError(number, str(error), str(path)) from error
    except sqlite3.DatabaseError as error:
        raise _damaged(path, str(error)) from error


def _damaged(path: Path, fault: str) -> ValueError:
    return ValueError(f"{path} is damaged ({fault}); delete it, and the teacher answers again")


def _together(name: str, rows: list[Tensor], counted: Tensor) -> Tensor:
    """Rows as one batch, padded with 0 where they have positions; items one after another."""
    if name.startswith(_ITEMS):
        return torch.cat(rows).to(counted.device)
    if rows[0].dim() < 2:
        return torch.stack(rows).to(counted.device)
    values = torch.cat(rows).to(counted.device)
    padded = values.new_zeros(*counted.shape, *values.shape[1:])
    padded[counted] = values
    return padded


def digest_of(model: HookedModel) -> bytes:
    """A digest of a model: its architecture, configuration, attention and weights."""
    found = hashlib.sha256(f"{model.architecture} {attention_of(model)} {model.model.config.to_json_string()}".encode())
    found.update(weights_digest(model))
    return found.digest()


def weights_digest(model: HookedModel) -> bytes:
    """A digest of the weights of a model, whatever library or folder they come from."""
    found = hashlib.sha256()
    for name, tensor in sorted(stored_weights(model.model).items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(_bytes(tensor.cpu()))
    return found.digest()


def _versions(model: HookedModel) -> list[tuple[int, int, int]]:
    """A value that differs after a weight was replaced, moved or written to."""
    return [(id(weight), weight.data_ptr(), weight._version) for weight in model.model.parameters()]


def _autocast(device: str) -> str:
    return str(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else "as loaded"


def _bytes(tensor: Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()
