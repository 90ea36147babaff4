import pytest

from causalkd.models.packaged_weights import PACKAGED
from causalkd.recipe.recipe import Recipe
from causalkd.runs.setup.hub_names import base_model, datasets

HUB = "google-bert/bert-base-uncased"


def _recipe(*changes):
    return Recipe.load("quickstart", list(changes))


def test_what_is_generated_here_has_no_name_on_the_hub():
    recipe = _recipe()
    assert base_model(recipe, recipe.students[0]) is None and datasets(recipe) == ()


@pytest.mark.parametrize("name", [*PACKAGED, "/no/such/folder", "no/such/folder/at/all"])
def test_packages_and_folders_are_no_models_of_the_hub(name):
    recipe = _recipe("teacher.config=null", f"teacher.model={name}")
    assert base_model(recipe, recipe.students[0]) is None


def test_a_relative_folder_that_exists_is_no_name(tmp_path, monkeypatch):
    (tmp_path / "owner" / "model").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    recipe = _recipe("teacher.config=null", "teacher.model=owner/model")
    assert base_model(recipe, recipe.students[0]) is None


def test_models_and_tasks_of_the_hub_are_named():
    recipe = _recipe("teacher.config=null", f"teacher.model={HUB}", "data.task=sst2", "alignment=middle")
    assert base_model(recipe, recipe.students[0]) == HUB and datasets(recipe) == ("nyu-mll/glue",)


def test_rows_that_stand_in_for_those_of_a_data_set_are_not_named_after_it(tmp_path, monkeypatch):
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    recipe = _recipe("data.task=wikitext_causal_lm")
    assert datasets(recipe) == ("Salesforce/wikitext",)
    (tmp_path / "lm").mkdir()
    (tmp_path / "lm" / "enwiki_gensim.txt").write_text("Articles of another encyclopedia.")
    assert datasets(recipe) == ()
