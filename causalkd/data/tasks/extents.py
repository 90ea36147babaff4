"""The extent of each token of a row in its texts, on one axis for all tokenizers."""

from collections.abc import Sequence
from itertools import accumulate

from tokenizers import Encoding

from causalkd.data.pieces import Extent


def extents(encoding: Encoding, texts: Sequence[str]) -> list[Extent]:
    """The half-open range of every token of a row on an axis that does not depend on the tokenizer.

    The axis consists of the characters of the texts without white space, one after the other; and before the first
    text, between texts, and after the last one, of a single point for all special tokens there. White space is not on
    the axis, since tokenizers differ in which token it belongs to.

    Args:
        encoding: The row, as a fast tokenizer encodes it.
        texts: The text or the two texts of the row.
    """
    counts = [list(accumulate((not character.isspace() for character in text), initial=0)) for text in texts]
    begins = [1]
    for count in counts:
        begins.append(begins[-1] + count[-1] + 1)
    found, read = [], 0
    for (start, stop), sequence in zip(encoding.offsets, encoding.sequence_ids, strict=True):
        if sequence is None:
            found.append((begins[read] - 1, begins[read]))
        else:
            read = sequence + 1
            found.append((begins[sequence] + counts[sequence][start], begins[sequence] + counts[sequence][stop]))
    return found
