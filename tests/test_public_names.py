"""The public names: all there, documented, and declared once for people and for type checkers."""

import ast
import os
import subprocess
import sys
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


_WRONG_CHOICES = """
import torch
from tests.tiny import tiny
from causalkd import *
from causalkd.data.tasks.instructions import prompt_ids
teacher = HookedModel(tiny("bert", "classification"), task="classification", role="teacher")
student = HookedModel(tiny("bert", "classification", layers=2), task="classification", role="student")
resolved = resolve(preset("middle", 3, 2), teacher, student)
rows, inputs = [{"input_ids": [5, 6], "label": 0}], {"input_ids": torch.ones(1, 2, dtype=torch.long)}
for call in (
    lambda: HookedModel(student.model, task="classification", role="techer"),
    lambda: HookedModel(student.model, task="clasification", role="teacher"),
    lambda: DIITO(resolved, teacher, student, tokens="labeled"),
    lambda: DIITO(resolved, teacher, student, pairs="each"),
    lambda: DIITOHidden(resolved, teacher, student, distance="cos"),
    lambda: HiddenKD(teacher, student, distance="mse"),
    lambda: ResponseKD(tokens="labeled"),
    lambda: ATKD(split="sentence"),
    lambda: ADKD(teacher, student, distance="l3"),
    lambda: PairingCollator(rows, {}, 0, side="lef"),
    lambda: PairingCollator(rows, {}, 0, sources="data"),
    lambda: attribution_map(teacher, inputs, class_views(3, 1), reduction="l1"),
    lambda: attribution_map(teacher, inputs, class_views(3, 1), target="prob"),
    lambda: prompt_ids([], None, "Chat"),
    lambda: agreement(torch.ones(2, 5), torch.ones(1, 5), torch.ones(2, 5).bool()),
):
    try:
        print("accepted:", call())
    except ValueError as error:
        print(error)
"""


@pytest.mark.starts_python
def test_a_choice_that_there_is_not_is_refused_in_a_program_that_checks_no_types() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(causalkd.__file__).parents[1]), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", _WRONG_CHOICES], capture_output=True, text=True, env=environment, check=True
    )
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
