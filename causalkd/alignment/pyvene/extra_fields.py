"""The fields of a pyvene config other than its sites, kept so that an alignment loses none of them."""

from pydantic import BaseModel, ConfigDict, StrictBool, StrictInt


class ConfigRest(BaseModel):
    """The fields of a pyvene config other than its representations; kept unchanged and not used here."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    model_type: str | None = None
    """The class pyvene last built an `IntervenableModel` around."""
    sorted_keys: tuple[str, ...] | None = None
    """pyvene's names of the interventions, in the order of a forward."""
    intervention_dimensions: tuple[StrictInt | None, ...] | None = None
    """The width of each intervention."""
    intervention_constant_sources: tuple[StrictBool, ...] | None = None
    """Whether each intervention brings its own source."""
    listed_types: StrictInt | None = None
    """Length of `intervention_types` where it is a list; None where it is one class."""
