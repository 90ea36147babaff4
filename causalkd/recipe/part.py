"""The base class of all parts of a recipe: strict, frozen data whose fields are the manual."""

from pydantic import BaseModel, ConfigDict

from causalkd.files.strict_yaml import dump_text

MOST_ROWS, MOST_STEPS, MOST_TOKENS, MOST_WIDTH = 10**9, 10**9, 10**7, 10**6
"""Upper bounds beyond any real training: a larger number is a typing error, which would otherwise run out of memory."""


class Part(BaseModel):
    """A part of a recipe: unknown keys and values of another type are refused, and nothing can be changed later."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    def to_yaml(self, *, defaults: bool = True) -> str:
        """The part as YAML, which loads to an equal one; without `defaults`, only the keys that differ from them."""
        return dump_text(self.model_dump(mode="json", exclude_defaults=not defaults))
