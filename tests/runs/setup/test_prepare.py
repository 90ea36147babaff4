"""Parts of a recipe become objects: data, models, alignments, batches."""

import copy
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import processors

from causalkd.data.batch import Batch
from causalkd.data.pairs.collator import ExampleSet
from causalkd.data.synthetic.nli import PlantedNLI
from causalkd.data.tasks.loading import load_examples
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import StudentPart, TeacherPart, TrainingPart
from causalkd.runs.setup.data import Data
from causalkd.runs.setup.prepare import (
    build_alignment,
    build_collator,
    build_masking,
    build_pairs,
    build_rows,
    build_student,
    build_teacher,
)
from tests.data.tiny_tokenizers import WORDS, bert_like
from tests.shrunk import planted_model


@pytest.fixture(scope="module")
def teacher(recipe: Recipe, data: Data) -> HookedModel:
    return build_teacher(recipe.teacher, data, "teacher")


def _student(**settings: Any) -> StudentPart:
    return StudentPart.model_validate({"name": "a", "objectives": {"task": {}}, **settings})


def _weights(model: HookedModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.model.parameters()])


def test_a_fresh_teacher_has_the_configuration_the_seed_and_the_labels(recipe: Recipe, data: Data) -> None:
    one, other = (build_teacher(recipe.teacher, data, role) for role in ("teacher", "student"))
    assert (one.n_layers, one.width, one.n_heads, one.task) == (4, 16, 2, "classification")
    assert one.vocabulary == len(data.tokenizer) and one.model.config.id2label[2] == "neutral"
    assert torch.equal(_weights(one), _weights(other)) and (one.role, other.role) == ("teacher", "student")
    seeded = build_teacher(recipe.teacher.model_copy(update={"seed": 5}), data, "teacher")
    assert not torch.equal(_weights(one), _weights(seeded))


def test_a_teacher_from_a_checkpoint(data: Data, tmp_path: Path) -> None:
    model = planted_model()
    model.save_pretrained(tmp_path / "ready")
    planted_model(labels=("no", "yes")).save_pretrained(tmp_path / "other")
    ready = build_teacher(TeacherPart(model=str(tmp_path / "ready")), data, "teacher")
    assert torch.equal(_weights(ready), _weights(model)) and not ready.model.training
    part = TeacherPart.model_validate({"model": str(tmp_path / "other"), "training": {"steps": 1}})
    assert build_teacher(part, data, "student").model.config.num_labels == 3  # which will be trained
    with pytest.raises(ValueError, match=r"^teacher\.model: .*were asked for.* a new head: .*`teacher.training`"):
        build_teacher(TeacherPart(model=str(tmp_path / "other")), data, "teacher")


def test_a_teacher_is_loaded_in_the_precision_that_the_recipe_names(data: Data, tmp_path: Path) -> None:
    planted_model().save_pretrained(tmp_path)
    part = TeacherPart(model=str(tmp_path), dtype="bfloat16", device_map="cpu", training=TrainingPart(steps=1))
    assert build_teacher(part, data, "teacher").model.dtype == torch.bfloat16
    assert build_teacher(part, data, "student").model.dtype == torch.float32  # while it is trained itself


def test_students_are_cut_from_the_teacher(teacher: HookedModel, data: Data) -> None:
    state = torch.get_rng_state()
    students = [build_student(_student(**origin), teacher, data, 0) for origin in ({"layers": (1, 3)}, {"every": 2})]
    narrow = [build_student(_student(every=2, width=8), teacher, data, seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    assert [student.n_layers for student in students] == [2, 2] and narrow[0].width == 8
    assert torch.equal(_weights(narrow[0]), _weights(narrow[1]))
    assert not torch.equal(_weights(narrow[0]), _weights(narrow[2]))


def test_a_student_from_a_checkpoint_may_lack_the_head_and_the_tokenizer(
    teacher: HookedModel, data: Data, tmp_path: Path
) -> None:
    planted_model("masked_lm").model.save_pretrained(tmp_path)
    student = build_student(_student(model=str(tmp_path)), teacher, data, 0)
    assert student.model.config.id2label == teacher.model.config.id2label
    assert student.tokenizer is data.tokenizer


def test_a_student_is_saved_with_the_tokenizer_that_makes_its_rows(
    teacher: HookedModel, data: Data, tmp_path: Path
) -> None:
    """Of one vocabulary both, but with nothing before and after a text in the student's own."""
    model = planted_model()
    own = copy.deepcopy(data.tokenizer)
    own.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", pair="$A $B")
    for name, tokenizer in (("alike", data.tokenizer), ("other", own)):
        model.model.save_pretrained(tmp_path / name)
        tokenizer.save_pretrained(tmp_path / name)
    with pytest.warns(UserWarning, match=r"tokenizer of student 'a' has the teacher's vocabulary, but makes other"):
        student = build_student(_student(model=str(tmp_path / "other")), teacher, data, 0)
    assert student.tokenizer is data.tokenizer
    with warnings.catch_warnings(action="error"):
        student = build_student(_student(model=str(tmp_path / "alike")), teacher, data, 0)
    assert student.tokenizer is not data.tokenizer


def test_a_checkpoint_without_a_padding_id_gets_one(teacher: HookedModel, data: Data, tmp_path: Path) -> None:
    model = planted_model()
    model.model.config.pad_token_id = None
    model.save_pretrained(tmp_path)
    student = build_student(_student(model=str(tmp_path)), teacher, data, 0)
    assert student.model.config.pad_token_id == data.tokenizer.pad_token_id


def test_alignments_by_name_by_file_and_inline(
    recipe: Recipe, teacher: HookedModel, data: Data, tmp_path: Path
) -> None:
    student = build_student(recipe.students[0], teacher, data, 0)
    middle = build_alignment("middle", teacher, student)
    assert (middle.pairs[0].teacher[0].layer, middle.pairs[0].student[0].layer) == (2, 0)
    assert build_alignment(middle, teacher, student) is middle
    (tmp_path / "mine.yaml").write_text(middle.to_yaml())
    assert build_alignment(str(tmp_path / "mine.yaml"), teacher, student) == middle
    assert build_alignment(middle.to_yaml(), teacher, student) == middle
    with pytest.raises(ValueError, match=r"alignment 'ful' is neither a preset nor a file; did you mean full\?"):
        build_alignment("ful", teacher, student)


def test_rows_are_padded_on_the_right_whatever_a_tokenizers_file_says(recipe: Recipe, data: Data) -> None:
    """An encoder counts positions from the left edge."""
    tokenizer = copy.deepcopy(data.tokenizer)
    tokenizer.padding_side = "left"
    rows = [{"input_ids": [5, 6, 7]}, {"input_ids": [5]}]
    rows = [{**data.train.examples[0], **row} for row in rows]
    examples = replace(data.train, examples=rows)
    batch = Batch.from_tensors(build_collator(recipe.data, examples, tokenizer, None, 0)(list(ExampleSet(rows))))
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_batches_have_sources_only_for_an_alignment(recipe: Recipe, teacher: HookedModel, data: Data) -> None:
    alignment = build_alignment(recipe.alignment, teacher, build_student(recipe.students[0], teacher, data, 0))
    rows = list(ExampleSet(data.train.examples))[:16]
    plain = Batch.from_tensors(build_collator(recipe.data, data.train, data.tokenizer, None, 0)(rows))
    assert plain.source is None and plain.source_rows is None and not plain.positions
    paired = Batch.from_tensors(build_collator(recipe.data, data.train, data.tokenizer, alignment, 0)(rows))
    assert paired.source_rows is not None and set(paired.positions) == {"middle"}
    groups = torch.arange(16) // recipe.data.group
    assert torch.equal(groups[paired.source_rows], groups)  # never across groups
    anywhere = recipe.data.model_copy(update={"sources": "dataset"})
    assert (
        Batch.from_tensors(build_collator(anywhere, data.train, data.tokenizer, alignment, 0)(rows)).source is not None
    )


def test_only_masked_lm_corrupts_its_input(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lm").mkdir()
    (tmp_path / "lm" / "enwiki_gensim.txt").write_text(WORDS * 9)
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    words = load_examples("wikitext_masked_lm", "train", bert_like(), max_length=16)
    masking = build_masking(words, bert_like())
    assert masking is not None and masking.vocabulary == len(bert_like())
    assert build_masking(data.train, data.tokenizer) is None


def test_held_out_pairs_and_rows(recipe: Recipe, teacher: HookedModel, data: Data) -> None:
    alignment = build_alignment(recipe.alignment, teacher, build_student(recipe.students[0], teacher, data, 0))
    pairs, rows = build_pairs(recipe, data, alignment), build_rows(recipe, data)
    assert [len(batch.counted) for batch in pairs] == [20, 20] and [len(batch.counted) for batch in rows] == [20, 4]
    assert all(batch.source is not None and set(batch.positions) == {"middle"} for batch in pairs)
    assert all(batch.source is None and not batch.positions for batch in rows)
    again = build_pairs(recipe, data, alignment)
    assert torch.equal(again[1].inputs["input_ids"], pairs[1].inputs["input_ids"])
    held = {tuple(example["input_ids"]) for example in data.heldout.examples}
    assert {tuple(row) for batch in pairs for row in batch.inputs["input_ids"].tolist()} <= held


def test_pairs_of_the_kind_that_the_recipe_chooses(recipe: Recipe, teacher: HookedModel, data: Data) -> None:
    alignment = build_alignment(recipe.alignment, teacher, build_student(recipe.students[0], teacher, data, 0))

    def chosen(right: torch.Tensor | None = None, **kind: str) -> Sequence[Batch]:
        verification = recipe.verification.model_copy(update=kind)
        return build_pairs(recipe.model_copy(update={"verification": verification}), data, alignment, right)

    def values(inputs: Any, variable: str) -> list[int]:
        return [PlantedNLI().variables({"input_ids": row})[variable] for row in inputs["input_ids"].tolist()]

    for kind in ({"pair_selection": "other_label"}, {"pair_selection": "other_variable", "variable": "verb_relation"}):
        for batch in chosen(**kind):
            interventions = (values(inputs, kind.get("variable", "label")) for inputs in (batch.inputs, batch.source))
            assert all(base != source for base, source in zip(*interventions, strict=True))
    right = torch.arange(24) < 9
    both_right = chosen(right, pair_selection="both_right")
    assert {int(number) for batch in both_right for number in batch.index} <= set(range(9))
    assert len(chosen(pair_selection="both_right")) == 2
    with pytest.raises(ValueError, match=r"verification\.pairs: 40 pairs were asked for, but of the 552 pairs"):
        chosen(torch.arange(24) < 3, pair_selection="both_right")
    with pytest.raises(ValueError, match="variable 'mood' is not in a causal model of the task 'planted'"):
        chosen(pair_selection="other_variable", variable="mood")
