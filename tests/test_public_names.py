"""The public names: all there, documented, and declared once for people and once for type checkers."""

import ast
from pathlib import Path

import pytest

import causalkd


def _names_for_type_checkers() -> dict[str, str]:
    tree = ast.parse(Path(causalkd.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in imports for alias in node.names}


def test_the_list_of_public_names() -> None:
    assert set(causalkd.__all__) == {
        *("load_model", "student_from_teacher", "HookedModel"),
        *("Alignment", "Site", "SitePair", "ready_made", "resolve", "interchange", "places_needed"),
        *(
            "Batch",
            "ExampleSet",
            "PairingCollator",
            "PlantedLM",
            "PlantedNLI",
            "PositionPolicy",
            "Positions",
            "evaluation_pairs",
            "load_examples",
            "pair_batches",
        ),
        *("ADKD", "ATKD", "DIITO", "DIITOHidden", "DKD", "HiddenKD", "ResponseKD", "TaskLoss"),
        *("Weighted", "DistillationTrainer"),
        *("measure", "VerificationReport", "as_text"),
        *("Recipe", "distill", "verify"),
        *("agreement", "attribute", "faithfulness", "load_maps"),
        *("AttributionMap", "attribution_map", "class_views", "label_views", "token_views"),
    }
    assert dir(causalkd) == sorted(causalkd.__all__)


def test_type_checkers_see_the_same_names() -> None:
    assert _names_for_type_checkers() == causalkd._MODULE_OF
    assert sorted(causalkd._MODULE_OF) == sorted(causalkd.__all__)


@pytest.mark.parametrize("name", causalkd.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(causalkd, name)
    assert value.__name__ == name
    assert value.__module__ == causalkd._MODULE_OF[name]
    assert value.__doc__ and value.__doc__.strip()


def test_an_unknown_name_is_refused_with_the_list() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Distil'; its public names are ADKD, ATKD, DIITO, DKD,"):
        causalkd.Distil  # noqa: B018
