"""Reading recipes: shipped ones, changes to them, and every fault in the words of whoever wrote it."""

import re
from pathlib import Path

import pytest
import yaml

from causalkd.alignment.spec import Alignment
from causalkd.recipe.recipe import Recipe, shipped_recipes
from tests.shrunk import SHRUNK

MINIMAL = """
name: small
teacher: {model: some/teacher}
alignment: middle
students: [{name: only, every: 2, objectives: {response_kd: {}}}]
training: {steps: 3}
"""


def _faults(*changes: str, source: str | Path = "quickstart") -> str:
    with pytest.raises(ValueError) as caught:
        Recipe.load(source, changes)
    return str(caught.value)


def test_there_are_shipped_recipes() -> None:
    assert shipped_recipes() == sorted(SHRUNK)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_survives_being_written_out(name: str, tmp_path: Path) -> None:
    recipe = Recipe.load(name)
    assert recipe.name == name and recipe.folder == Path("runs") / name
    assert Recipe.load(recipe.to_yaml()) == Recipe.load(recipe.to_yaml(defaults=False)) == recipe
    (tmp_path / "recipe.yaml").write_text(recipe.to_yaml())
    assert Recipe.load(tmp_path / "recipe.yaml") == Recipe.load(str(tmp_path / "recipe.yaml")) == recipe
    written = yaml.safe_load(recipe.to_yaml())
    assert set(written) == set(Recipe.model_fields) and written["training"]["max_grad_norm"] >= 1.0


def test_a_recipe_needs_few_keys_and_cannot_be_edited() -> None:
    recipe = Recipe.load(MINIMAL)
    assert (recipe.seeds, recipe.data.task, recipe.verification.pairs) == ((0,), "planted", 2000)
    assert recipe.model_copy(update={"output": "elsewhere"}).folder == Path("elsewhere")
    with pytest.raises(ValueError, match="frozen"):
        recipe.name = "other"  # type: ignore[misc]


def test_changes_reach_into_mappings_lists_and_named_items() -> None:
    recipe = Recipe.load(
        "quickstart",
        [
            *("training.learning_rate=1e-4", "students.kd.training.steps=7", "students.1.objectives.diito.weight=3"),
            *("alignment.pairs.middle.teacher.0.layer=2", "seeds=[4, 5]", "output=there", "teacher.training=null"),
            *("teacher.training.steps=9", "teacher.config.layer_norm_eps=1e-6"),
        ],
    )
    kd, diito = recipe.students
    assert recipe.training.learning_rate == 1e-4 and recipe.training_of(kd).steps == 7
    assert diito.objectives.diito is not None and diito.objectives.diito.weight == 3
    assert isinstance(recipe.alignment, Alignment) and recipe.alignment.pairs[0].teacher[0].layer == 2
    assert (recipe.seeds, recipe.folder) == ((4, 5), Path("there"))
    assert recipe.teacher.training is not None and recipe.teacher.training.steps == 9
    assert recipe.teacher.training.batch_size == 32  # the value was null before


CHANGES = {
    "training": "has no value; write KEY.KEY=VALUE, such as training.steps=100",
    "=3": "has no value",
    "name.x=1": "name is 'quickstart' and holds no keys; remove what follows it",
    "name.x.y=1": "name is 'quickstart' and holds no keys",
    "students.dito.width=1": "'dito' is not an item of a list of 2; items are numbered from 0, or named: kd, diito",
    "seeds.3=1": "'3' is not an item of a list of 1; items are numbered from 0",
    "training.steps=[1": "'[1' is not a YAML value; put text in quotes",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_cannot_be_made_says_why(change: str) -> None:
    message = _faults(*(["seeds=[0]"] if change.startswith("seeds") else []), change)
    assert message.startswith(f"change {change!r}") and CHANGES[change] in message


def test_a_students_own_length_replaces_the_recipes() -> None:
    recipe = Recipe.load(MINIMAL, ["students.only.training={epochs: 2, learning_rate: 0.5}", "training.batch_size=4"])
    training = recipe.training_of(recipe.students[0])
    assert (training.steps, training.epochs, training.learning_rate, training.batch_size) == (None, 2, 0.5, 4)
    again = Recipe.load(recipe.to_yaml())
    assert again.training_of(again.students[0]) == training.model_copy()


FAULTS = {
    "trainin.steps=3": "- trainin: unknown key; did you mean training?",
    "training.stepz=3": "- training.stepz: unknown key; did you mean steps?",
    "students.kd.training.stepz=3": "- students[0].training.stepz: unknown key; did you mean steps?",
    "students.kd.objectives.dito={}": "- students[0].objectives.dito: unknown key; did you mean diito?",
    "alignment.pairs.0.teacher.0.layr=2": "- alignment.pairs[0].teacher[0].layr: unknown key; did you mean layer?",
    "alignment.pairs.0.teacher.0.component=blok_output": "'blok_output' is not a component; did you mean block_output?",
    "alignment.positions.policy=segmnts": "alignment.positions.policy: 'segmnts' is not valid; did you mean segments?",
    "alignment.positions.fraction=2": "alignment.positions.fraction: 2 given; input should be less than or equal to 1",
    "alignment.pairs.0.student.0.low_rank_dimension=2": "student[0].low_rank_dimension: unknown key",
    "alignment=3": "- alignment: 3 given; name a file or middle, late, full, or write its keys here",
    "data.train_limit=0": "- data.train_limit: 0 given; input should be greater than or equal to 2",
    "data.sources=bach": "- data.sources: 'bach' is not valid; did you mean batch?",
    "teacher.training.teacher_cache={max_mib: 1}": "`teacher.training.teacher_cache` given, but nothing teaches the",
    "teacher.training.sequences={generator: teacher}": "`teacher.training.sequences` given, but nothing teaches the",
    "training.schedule=lineer": "- training.schedule: 'lineer' is not valid; did you mean linear?",
    "verification.components=[block_outpt]": "- verification.components: 'block_outpt': did you mean block_output?",
    "verification.pairs=1": "- verification.pairs: 1 given; input should be greater than or equal to 2",
    "students=[]": "- students: [] given",
    "students.kd.name=diito": "students appear twice: ['diito', 'diito']; give each once",
    "students.kd.name=a/b": "- students[0].name: 'a/b' given; a name has letters, digits and",
    "name=..": "- name: '..' given; a name has letters, digits and",
    "seeds=[1, 1]": "seeds appear twice: [1, 1]; give each once",
}


@pytest.mark.parametrize("change", FAULTS)
def test_a_faulty_value_is_named_with_its_path(change: str) -> None:
    message = _faults(change)
    assert message.startswith("recipe quickstart cannot be used:\n") and FAULTS[change] in message
    assert len(message.splitlines()) == 2  # of the branches a value could take, only the one that was meant


def test_every_fault_is_reported_at_once() -> None:
    message = _faults("nme=x", "alignment.nme=x", "training.learning_rate=-1", "students.kd.layers=null")
    assert [re.split(":", line)[0] for line in message.splitlines()[1:]] == [
        *("- alignment.nme", "- students[0]", "- training.learning_rate", "- nme"),
    ]


def test_steps_and_epochs_exclude_each_other() -> None:
    both = "`steps` is 800 and `epochs` is 2.0; give only one of them"
    assert f"- training: {both}" in _faults("training.steps=800", "training.epochs=2")
    assert f"- students[0].training: {both}" in _faults("students.kd.training={steps: 800, epochs: 2}")


def test_a_tokenizer_beside_a_checkpoint_is_refused() -> None:
    message = _faults("data.tokenizer=other", source=MINIMAL)
    assert "`data.tokenizer` is 'other', but the teacher 'some/teacher' comes with one; leave `data.tokenizer` out" in (
        message
    )


def test_what_is_no_recipe(tmp_path: Path) -> None:
    assert _faults(source="quickstrat") == (
        "recipe 'quickstrat' is neither a shipped recipe nor a file; did you mean quickstart?"
    )
    assert "is neither a shipped recipe nor a file" in _faults(source=tmp_path)
    (tmp_path / "broken.yaml").write_text("name: [a\nteacher: b")
    assert re.search(r"recipe .*broken\.yaml is not valid YAML: line \d", _faults(source=tmp_path / "broken.yaml"))
    (tmp_path / "list.yaml").write_text("- a\n- b")
    assert re.search(r"list\.yaml holds list; see `causalkd schema`", _faults(source=tmp_path / "list.yaml"))
    (tmp_path / "empty.yaml").write_text("")
    assert re.search(r"empty\.yaml holds NoneType", _faults(source=tmp_path / "empty.yaml"))
    missing = _faults(source="name: x")
    assert all(f"- {key}: missing; this key is required" in missing for key in ("teacher", "alignment", "students"))


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("training.steps=true", "training.steps: True given; input should be a valid integer"),
        ("training.steps=3.0", "training.steps: 3.0 given; input should be a valid integer"),
        ("training.steps='3'", "training.steps: '3' given; input should be a valid integer"),
        ("training.learning_rate=yes", "training.learning_rate: True given; input should be a valid number"),
        ("training.weight_decay=.inf", "training.weight_decay: inf given; input should be a finite number"),
        ("training.learning_rate=.nan", "training.learning_rate: nan given; input should be a finite number"),
        ("training.group_by_length=1", "training.group_by_length: 1 given; input should be a valid boolean"),
        ("seeds=[true]", "seeds[0]: True given; input should be a valid integer"),
        ("students.kd.objectives.response_kd.weight=.inf", "students[0].objectives.response_kd.weight: inf given"),
        ("alignment.positions.fraction=true", "alignment.positions.fraction: True given"),
        ("training.steps=1000000000000000000", "training.steps: 1000000000000000000 given; input should be less than"),
        ("verification.pairs=1000000000000000000", "verification.pairs: 1000000000000000000 given; input should be"),
        (
            "teacher.config.num_hidden_layers=1000000000000000000",
            "but at most 1,000 is supported; give a smaller number",
        ),
        ("teacher.config.vocab_size=1000000000000000000", "but at most 10,000,000 is supported; give a smaller number"),
    ],
)
def test_a_value_of_another_type_or_beyond_all_bounds_is_refused(change: str, fault: str) -> None:
    told = _faults(change)
    assert fault in told
    assert len(told.splitlines()) == 2  # the headline, and no fault that only follows from the first


def test_short_numbers_are_numbers_in_a_file_and_in_a_change() -> None:
    recipe = Recipe.load(MINIMAL.replace("steps: 3", "steps: 3, learning_rate: 1e-4"), ["training.weight_decay=1e-2"])
    assert (recipe.training.learning_rate, recipe.training.weight_decay) == (1e-4, 1e-2)
    assert Recipe.load(MINIMAL, ["name='1e4'"]) == Recipe.load(Recipe.load(MINIMAL, ["name='1e4'"]).to_yaml())


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    text = MINIMAL.replace("some/teacher", "~/teacher").replace("alignment: middle", "alignment: ~/mine.yaml")
    (tmp_path / "mine-recipe.yaml").write_text(text.replace("every: 2", "model: ~/student") + "output: ~/run\n")
    recipe = Recipe.load("~/mine-recipe.yaml")
    assert recipe.folder == tmp_path / "run"
    assert recipe.alignment == str(tmp_path / "mine.yaml")
    assert (recipe.teacher.model, recipe.students[0].model) == (f"{tmp_path}/teacher", f"{tmp_path}/student")
    own = Recipe.load(MINIMAL, ["data={path: ~/a.csv, kind: classification, splits: {train: ~/b.csv}}"]).data
    assert (own.path, own.splits["train"]) == (f"{tmp_path}/a.csv", f"{tmp_path}/b.csv")


def test_a_message_is_at_most_a_page() -> None:
    many = "\n".join(f"  key{number}: {'x' * 50}" for number in range(3000))
    for source in (f"{MINIMAL}data:\n{many}", f"{MINIMAL}output: [{'x' * 10_000}]", MINIMAL.replace("middle", "3")):
        told = _faults(source=source)
        assert len(told) < 2000
    told = _faults(source=f"{MINIMAL}data:\n{many}")
    assert "data.key0: unknown key" in told
    assert re.search(r"- and \d+ more; correct these first$", told)


@pytest.mark.parametrize(
    ("change", "instead"),
    [
        ("training.steps=100", "give students.*.training.steps instead, or a student's name instead of *"),
        ("training={steps: 100}", "give students.*.training.steps instead"),
        ("training.epochs=2", "give students.*.training.epochs instead, with students.*.training.steps null"),
    ],
)
def test_a_change_that_no_student_inherits_is_refused(change: str, instead: str) -> None:
    """Quickstart's students have each their own length, and would train as long as before."""
    with pytest.raises(ValueError, match="every student sets its own") as error:
        Recipe.load("quickstart", [change])
    assert "(kd steps: 1725, diito steps: 1150)" in str(error.value) and instead in str(error.value)


def test_a_change_that_a_student_inherits_is_made() -> None:
    both = ["students.*.training.steps=null", "students.*.training.epochs=2"]
    assert [each.training for each in Recipe.load("quickstart", both).students] == 2 * [{"steps": None, "epochs": 2}]
    one = Recipe.load("quickstart", ["students.kd.training={}", "training.steps=100"])
    assert [one.training_of(each).steps for each in one.students] == [100, 1150]
    Recipe.load("quickstart", ["training.epochs=null"])  # it asks for nothing
