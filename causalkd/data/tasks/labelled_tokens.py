"""Rows of tokens, some of which are trained on, in five bytes a token."""

from array import array
from collections.abc import Iterable, Sequence
from typing import Any, overload

from causalkd.data.batch import IGNORED


class LabelledTokens(Sequence[dict[str, Any]]):
    """Examples of a causal LM, each made on access; a slice shares the memory of the whole.

    Segments are `prompt`, up to the first token that is trained on, and `response`; `bytes` are those of the text
    that is trained on.
    """

    def __init__(self, rows: Iterable[tuple[Sequence[int], Sequence[int], int]]):
        """Keeps rows of tokens, of labels, which are the token itself if it is trained on and else -100, and bytes
        of text that is trained on.
        """
        self._ids, self._trained_on, self._ends, self._bytes = array("i"), bytearray(), array("q", [0]), array("q")
        for ids, label, size in rows:
            self._bytes.append(size)
            self._ids.extend(ids)
            self._trained_on.extend(token != IGNORED for token in label)
            self._ends.append(len(self._ids))
        self._rows: Sequence[int] = range(len(self._ends) - 1)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, number: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, number: slice) -> "LabelledTokens": ...
    def __getitem__(self, number: int | slice) -> "dict[str, Any] | LabelledTokens":
        if isinstance(number, slice):
            chosen = LabelledTokens(())
            chosen._ids, chosen._trained_on, chosen._ends = self._ids, self._trained_on, self._ends
            chosen._bytes, chosen._rows = self._bytes, self._rows[number]
            return chosen
        row = self._rows[number]
        start, stop = self._ends[row], self._ends[row + 1]
        ids, trained_on = self._ids[start:stop].tolist(), self._trained_on[start:stop]
        label = [token if wanted else IGNORED for token, wanted in zip(ids, trained_on, strict=True)]
        prompt = trained_on.index(1)
        segments = {"prompt": (0, prompt), "response": (prompt, len(ids))}
        return {"input_ids": ids, "label": label, "segments": segments, "bytes": self._bytes[row]}
