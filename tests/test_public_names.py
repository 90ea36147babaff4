"""The public names: all there, documented, and declared once for people and for type checkers."""

import ast
from pathlib import Path

import pytest

import causalkd
from tests.forked import ended


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


@pytest.mark.starts_python
def test_a_choice_that_there_is_not_is_refused_in_a_program_that_checks_no_types() -> None:
    done = ended("tests.wrong_choices")
    assert done.code == 0, done.stderr
    assert done.stdout.splitlines() == [
        "role is 'techer'; it is one of 'teacher', 'student'",
        "task 'clasification' does not exist; did you mean classification?",
        "tokens is 'labeled'; it is one of 'all', 'labelled'",
        "pairs is 'each'; it is one of 'one', 'all'",
        "distance is 'cos'; it is one of 'cosine', 'squared'",
        "distance is 'mse'; it is one of 'cosine', 'squared'",
        "tokens is 'labeled'; it is one of 'all', 'labelled'",
        "split is 'sentence'; it is one of 'batch', 'sequence', 'running'",
        "adkd's distance is 'l3'; it is one of 'l1', 'l2', 'smooth_l1'",
        "side is 'lef'; it is one of 'left', 'right'",
        "sources is 'data'; it is one of 'batch', 'dataset'",
        "reduction is 'l1'; it is one of 'sum', 'norm'",
        "target is 'prob'; it is one of 'probability', 'log_probability', 'logit', 'loss'",
        "prompt is 'Chat'; it is one of 'alpaca', 'chat'",
        "the maps and the mask have the shapes (2, 5), (1, 5), (2, 5); maps of the same texts have one shape",
    ]
