"""The recipe of a fine-tuning: complete when written out, and every fault named."""

from pathlib import Path

import pytest

from causalkd.recipe.finetune import FinetuneRecipe

MINIMAL = {"name": "tuned", "model": "minilm-l6", "training": {"epochs": 3}}


def test_it_is_complete_when_written_out_and_loads_to_an_equal_one(tmp_path: Path) -> None:
    recipe = FinetuneRecipe.parse({**MINIMAL, "data": {"task": "rte"}, "seeds": [0, 1]})
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    assert FinetuneRecipe.load(tmp_path / "recipe.yaml") == recipe
    assert all(f"\n{key}:" in f"\n{recipe.to_yaml()}" for key in FinetuneRecipe.model_fields)


def test_changes_are_applied(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("name: tuned\nmodel: minilm-l6\ntraining: {epochs: 3}\n")
    changed = FinetuneRecipe.load(tmp_path / "r.yaml", ["training.learning_rate=1e-5", "seeds=[3]"])
    assert changed.training.learning_rate == 1e-5 and changed.seeds == (3,)


def test_the_learner_is_trained_with_the_seed() -> None:
    part = FinetuneRecipe.parse(MINIMAL).learner(7)
    assert (part.model, part.seed, part.training) == ("minilm-l6", 7, FinetuneRecipe.parse(MINIMAL).training)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": None}, "give either `model` or `config`"),
        ({"config": {"model_type": "bert"}}, "give either `model` or `config`"),
        ({"seeds": [1, 1]}, "seeds appear twice: [1, 1]; give each once"),
        (
            {"training": {"sequences": {"generator": "teacher"}}},
            "`training.sequences` is given, but there is no teacher",
        ),
        ({"training": {"teacher_cache": {"max_mib": 1}}}, "`training.teacher_cache` is given, but there is no teacher"),
        ({"data": {"tokenizer": "bert-base-uncased"}}, "the model 'minilm-l6' comes with one"),
        ({"teacher": {"model": "minilm-l6"}}, "teacher"),
    ],
)
def test_a_fault_is_named(changes: dict, told: str) -> None:
    with pytest.raises(ValueError) as error:
        FinetuneRecipe.parse({**MINIMAL, **changes})
    assert told in str(error.value)
