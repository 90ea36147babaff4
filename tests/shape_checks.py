"""Checks the types and shapes of calls as jaxtyping does, several times as quickly.

jaxtyping's own decorator binds the arguments of every call and checks each of them twice, so that its messages can name
the sizes that it has seen. Here beartype checks a call once, in a scope of sizes of its own.
"""

import dataclasses
import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, get_type_hints

import jaxtyping

_JAXTYPED = jaxtyping.jaxtyped
_SIZES = _JAXTYPED("context")  # between its beginning and its end, a name of an axis stands for one size


def checked(what: Any = None, *, typechecker: Callable[[Any], Any]) -> Any:
    """Takes the place of `jaxtyping.jaxtyped`, with which pytest's option `--jaxtyping-packages` decorates."""
    if what is None:
        return partial(checked, typechecker=typechecker)
    if inspect.isfunction(what) and "<locals>" in what.__qualname__ and what.__module__.startswith("causalkd."):
        return what  # it would be decorated anew at every call of the function that it is in
    if inspect.isclass(what):
        if dataclasses.is_dataclass(what) and "__init__" in vars(what):
            what.__init__ = checked(what.__init__, typechecker=typechecker)
        return what
    types = _types(what) if inspect.isfunction(what) and not inspect.isgeneratorfunction(what) else None
    if types is None:
        return _JAXTYPED(what, typechecker=typechecker)
    function = typechecker(what)
    has_sizes = any("jaxtyping." in repr(each) for each in types.values())
    return _with_sizes_of_its_own(function) if has_sizes and function is not what else function


def _types(function: Callable[..., Any]) -> dict[str, Any] | None:
    """The types of its arguments; None where one is known to type checkers alone: jaxtyping then checks the others."""
    try:
        return get_type_hints(function)
    except NameError:
        return None


def _with_sizes_of_its_own(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def call(*args: Any, **given: Any) -> Any:
        with _SIZES:
            return function(*args, **given)

    return call
