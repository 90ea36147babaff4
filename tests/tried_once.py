"""The self-test of a model once for each shape of models, and not for every model: a twentieth of the tests' time."""

from collections.abc import Callable
from functools import wraps

from causalkd.models.hooks.hooked_model import HookedModel


def tried_once(self_test: Callable[[HookedModel], None]) -> Callable[[HookedModel], None]:
    """A self-test that leaves out a model whose like has passed: the same modules, configuration, task and type."""
    passed: set[tuple[str, ...]] = set()

    @wraps(self_test)
    def tried(model: HookedModel) -> None:
        config = model.model.config.to_dict() | {"_name_or_path": None}
        modules = " ".join(type(module).__name__ for module in model.model.modules())
        like = (modules, str(config), str(model.task), str(model.model.dtype))
        if like not in passed:
            self_test(model)
            passed.add(like)

    return tried
