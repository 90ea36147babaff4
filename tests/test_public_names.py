"""The public names: all there, documented, and declared once for people and for type checkers."""

import ast
from pathlib import Path

import pytest

import causalkd


def _declared() -> dict[str, str]:
    """Each name of the stub, and the module that it comes from."""
    tree = ast.parse(Path(causalkd.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: f"causalkd.{node.module}" for node in imports for alias in node.names}


def test_the_stub_declares_the_public_names() -> None:
    assert sorted(causalkd.__all__) == sorted(_declared())
    assert set(causalkd.__all__) <= set(dir(causalkd))
    assert {"Recipe", "distill", "verify", "load_model", "interchange", "DIITO", "ADKD", "ATKD"} <= set(
        causalkd.__all__
    )


@pytest.mark.parametrize("name", causalkd.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(causalkd, name)
    assert value.__name__ == name
    assert value.__module__ == _declared()[name]
    assert value.__doc__ and value.__doc__.strip()


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(AttributeError, match="Distil"):
        causalkd.Distil  # noqa: B018


def test_the_package_says_that_it_is_typed() -> None:
    assert Path(causalkd.__file__).with_name("py.typed").is_file()
