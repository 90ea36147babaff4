"""What is measured: a task by its name, a recipe's data, or a block of one's own data."""

from pathlib import Path

import pytest

from causalkd.data.tasks.own_data import OwnData
from causalkd.recipe.recipe import Recipe
from causalkd.runs.evaluation.evaluation_task import EvaluationTask, data_trained_on
from causalkd.runs.folder.layout import RunFolder
from tests.data.tiny_tokenizers import bert_like


def test_a_name_is_a_task() -> None:
    asked = EvaluationTask.of("mrpc")
    assert (asked.name, asked.given, asked.kind) == ("mrpc", "mrpc", "classification")
    assert asked.labels == ("not_equivalent", "equivalent")
    with pytest.raises(ValueError, match="there is no task 'mrcp'"):
        EvaluationTask.of("mrcp")


@pytest.mark.parametrize("whole", [True, False], ids=["recipe", "block"])
def test_a_file_holds_data(tmp_path: Path, whole: bool) -> None:
    (tmp_path / "mine.csv").write_text("text,label\n" + "a cat,yes\na dog,no\n" * 10)
    block = f"  path: {tmp_path}/mine.csv\n  kind: classification\n  max_length: 9\n  seed: 3\n"
    file = tmp_path / "mine.yaml"
    file.write_text(f"name: x\ndata:\n{block}" if whole else f"data:\n{block}")
    asked = EvaluationTask.of(str(file))
    assert (asked.name, asked.kind, asked.labels) == ("mine", "classification", ("no", "yes"))
    assert isinstance(asked.given, OwnData) and (asked.max_length, asked.seed) == (9, 3)
    file.write_text("data: {task: rte, max_length: 64, eval_limit: 5}")
    asked = EvaluationTask.of(str(file))
    assert (asked.name, asked.given, asked.max_length, asked.limit) == ("rte", "rte", 64, 5)


def test_rows_without_some_of_a_models_labels_are_numbered_by_the_model(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("text,label\n" + "a cat,yes\na dog,no\n" * 10)
    asked = EvaluationTask.of(_block(tmp_path, ""))
    names = ("no", "maybe", "yes")
    fitted = asked.for_labels_of(names)
    assert fitted.labels == names and isinstance(fitted.given, OwnData)
    found = fitted.load("test", bert_like(), None, None, 64)
    with pytest.raises(ValueError, match="limit 0 leaves no examples"):
        fitted.load("test", bert_like(), 0, None, 64)
    assert found.labels == names and {each["label"] for each in found.examples} == {0, 2}
    assert asked.for_labels_of(("Yes", "no")) is asked  # another name
    declared = EvaluationTask.of(_block(tmp_path, "labels: ['no', 'yes'], "))
    assert declared.for_labels_of(names) is declared
    assert EvaluationTask.of("mrpc").for_labels_of(names).labels == ("not_equivalent", "equivalent")


def _block(folder: Path, labels: str) -> str:
    file = folder / "mine.yaml"
    file.write_text(f"{{path: {folder}/mine.csv, kind: classification, {labels}splits: {{test: train}}}}")
    return str(file)


def test_a_task_has_the_prompt_and_the_length_that_models_were_trained_with(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    (run.path / "student").mkdir(parents=True)
    recipe = Recipe.load("quickstart-lm", ["data={task: instruct, prompt: chat, max_length: 40}"])
    run.recipe.write_text(recipe.to_yaml())
    assert data_trained_on(run.path / "student") is None  # not yet in a finished run
    run.report.write_text("{}")
    block = tmp_path / "block.yaml"
    block.write_text("{task: instruct, prompt: alpaca, max_length: 30}")
    for origin in (run.path, run.path / "student"):
        trained = data_trained_on(origin)
        asked = EvaluationTask.of("instruct").as_trained_on("instruct", trained)
        assert (asked.prompt, asked.max_length) == ("chat", 40)
        asked = EvaluationTask.of(str(block)).as_trained_on(str(block), trained)
        assert (asked.prompt, asked.max_length) == ("alpaca", 30)
    assert data_trained_on(tmp_path) is data_trained_on("someone/model") is None


def test_rows_that_a_recipe_divides_are_no_split(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("{name: x, data: {task: planted, heldout_share: 0.2}}")
    asked = EvaluationTask.of(str(file))
    with pytest.raises(
        ValueError, match=r"'planted' holds out 20% of its training rows .* `causalkd report RUN` shows"
    ):
        asked.check_split("validation")
    asked.check_split("test")


def test_a_recipe_without_data_has_the_usual_ones(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("{name: x, model: bert-base-uncased, training: {steps: 3}}")
    assert EvaluationTask.of(str(file)).name == "planted"
    file.write_text("{name: x, path: mine.csv, kind: classification}")
    with pytest.raises(ValueError, match="name: unknown key"):
        EvaluationTask.of(str(file))


def test_faults_of_a_block_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("data: {path: mine.csv, kind: classes, max_lenght: 9}")
    with pytest.raises(ValueError, match=r"(?s)the data of .*mine.yaml cannot be used.*max_lenght.*kind|kind.*max_len"):
        EvaluationTask.of(str(file))


def test_a_file_that_is_absent_and_a_block_that_is_no_mapping_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*absent.yaml; name a YAML file with a `data` block"):
        EvaluationTask.of(str(tmp_path / "absent.yaml"))
    (tmp_path / "rows.csv").write_text("text,label\n")
    with pytest.raises(ValueError, match=r"rows.csv is not a YAML file; .* which `causalkd data .*rows.csv` prints"):
        EvaluationTask.of(str(tmp_path / "rows.csv"))
    (tmp_path / "words.yaml").write_text("data: reviews.csv")
    with pytest.raises(ValueError, match=r"the data of .*words.yaml cannot be used"):
        EvaluationTask.of(str(tmp_path / "words.yaml"))
