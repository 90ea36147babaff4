"""An orthonormal basis of a subspace as plain data, so that a learned alignment is a file like any other."""

import base64

import numpy as np
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, StrictInt, StrictStr, model_validator

_NUMBERS = np.dtype("<f4")
_ORTHONORMAL = 1e-4
"""The allowed difference of columns' products from one and zero, for rounding in float32."""


class Basis(BaseModel):
    """Some directions of an activation: they have length one and are orthogonal to each other.

    Example:
        >>> Basis.of(np.eye(4)[:, :2]).rank
        2
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    width: StrictInt
    """The width of the activation."""
    rank: StrictInt
    """The number of directions."""
    values: StrictStr
    """The directions one after another, as float32 (little-endian) in base64."""

    @model_validator(mode="after")
    def _check(self) -> "Basis":
        if not 0 < self.rank <= self.width:
            raise ValueError(f"rank {self.rank} given; it must be 1–{self.width}, the width")
        found = len(_decoded(self.values))
        if found != self.width * self.rank:
            raise ValueError(f"values hold {found} numbers; they must be rank {self.rank} × width {self.width}")
        columns = self.columns()
        off = np.abs(columns.T @ columns - np.eye(self.rank)).max() if np.isfinite(columns).all() else np.inf
        if off > _ORTHONORMAL:
            raise ValueError(f"the directions are not orthonormal (off by {off:.2g}); take the Q of np.linalg.qr")
        return self

    @classmethod
    def of(cls, columns: Float[np.ndarray, "width rank"]) -> "Basis":
        """Make a basis of orthonormal columns, such as a `Subspace` has; it is kept as float32.

        Raises:
            ValueError: The columns are not orthonormal.
        """
        values = np.ascontiguousarray(columns.T, dtype=_NUMBERS).tobytes()
        return cls(width=columns.shape[0], rank=columns.shape[1], values=base64.b64encode(values).decode("ascii"))

    def columns(self) -> Float[np.ndarray, "width rank"]:
        """The directions as columns."""
        numbers = _decoded(self.values).astype(np.float32)
        return np.ascontiguousarray(numbers.reshape(self.rank, self.width).T)


def orthonormal(columns: Float[np.ndarray, "width rank"]) -> Float[np.ndarray, "width rank"]:
    """The nearest orthonormal columns, in float64: columns trained in float32 are off by more than a file may be."""
    left, _, right = np.linalg.svd(columns.astype(np.float64), full_matrices=False)
    return left @ right


def _decoded(values: str) -> Float[np.ndarray, " numbers"]:
    try:
        return np.frombuffer(base64.b64decode(values, validate=True), dtype=_NUMBERS)
    except ValueError as error:
        raise ValueError(f"values must be float32 numbers in base64: {error}") from None
