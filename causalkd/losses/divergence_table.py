"""The table of divergences that a recipe can name; torch is loaded only when one is computed.

One entry declares a divergence: recipes, their schema, the objective that uses it and the tests know it from here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from causalkd import registries
from causalkd.registries import KeyOf

_HERE = "causalkd.losses.divergence"
_KERNEL = f"{_HERE}:kernel_of"


@dataclass(frozen=True)
class DivergenceEntry:
    """One divergence.

    Attributes:
        function: (student's logits, teacher's logits, mask, temperature) → mean over what counts, zero at agreement, in
            nats but for the total variation; or the name of that function, as `module:name`.
        share: The argument that mixes the two distributions; None if they are not mixed.
        kernel: (key, share) → the divergence of each row and its gradient (`chunked.Kernel`), or the name of that
            function; with it the logits over a vocabulary need not all exist at once, without it they do.
    """

    function: Callable[..., Any] | str
    share: str | None = None
    kernel: Callable[..., Any] | str | None = None


DIVERGENCES: dict[str, DivergenceEntry] = {
    "forward_kl": DivergenceEntry(f"{_HERE}:forward_kl", kernel=_KERNEL),
    "reverse_kl": DivergenceEntry(f"{_HERE}:reverse_kl", kernel=_KERNEL),
    "jensen_shannon": DivergenceEntry(f"{_HERE}:jensen_shannon", share="beta", kernel=_KERNEL),
    "total_variation": DivergenceEntry(f"{_HERE}:total_variation", kernel=_KERNEL),
    "skewed_forward_kl": DivergenceEntry(f"{_HERE}:skewed_forward_kl", share="alpha", kernel=_KERNEL),
    "skewed_reverse_kl": DivergenceEntry(f"{_HERE}:skewed_reverse_kl", share="alpha", kernel=_KERNEL),
}
"""Every divergence by its key."""
DivergenceName = Annotated[str, KeyOf(DIVERGENCES)]
"""The key of a divergence."""


def register_divergence(key: str, entry: DivergenceEntry) -> None:
    """Adds a divergence, so that `response_kd` can be trained on it.

    Raises:
        ValueError: The key is taken.
    """
    registries.add(DIVERGENCES, "divergences", key, entry)


def unregister_divergence(key: str) -> None:
    """Takes a divergence out of the table.

    Raises:
        ValueError: There is none of this key.
    """
    registries.remove(DIVERGENCES, "divergences", key)
