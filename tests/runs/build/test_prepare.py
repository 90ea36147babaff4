"""Parts of a recipe become objects: data, models, alignments, batches."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from causalkd.data.batch import Batch
from causalkd.data.pairs.collator import ExampleSet
from causalkd.data.synthetic.nli import PlantedNLI
from causalkd.data.tasks.loading import load_examples
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.recipe.recipe import Recipe
from causalkd.recipe.sections import DataPart, StudentPart, TeacherPart, TrainingPart
from causalkd.runs.build.prepare import (
    Data,
    build_alignment,
    build_collator,
    build_data,
    build_masking,
    build_pairs,
    build_rows,
    build_student,
    build_teacher,
    data_of,
)
from tests.data.tiny_tokenizers import WORDS, bert_like, gpt2_like
from tests.shrunk import SHRUNK, TINY, planted_model
from tests.tiny import tiny


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe.load("quickstart", [*SHRUNK["quickstart"], *TINY])


@pytest.fixture(scope="module")
def data(recipe: Recipe) -> Data:
    return build_data(recipe.data, recipe.teacher)


@pytest.fixture(scope="module")
def teacher(recipe: Recipe, data: Data) -> HookedModel:
    return build_teacher(recipe.teacher, data, "teacher")


def _student(**settings: Any) -> StudentPart:
    return StudentPart.model_validate({"name": "a", "objectives": {"task": {}}, **settings})


def _weights(model: HookedModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.model.parameters()])


def test_both_splits_with_the_tokenizer_of_the_teacher(data: Data, tmp_path: Path) -> None:
    assert (len(data.train.examples), len(data.heldout.examples)) == (96, 24)
    assert data.labels == PlantedNLI().label_names and data.train.examples[0] != data.heldout.examples[0]
    planted_model().save_pretrained(tmp_path)
    part = TeacherPart(model=str(tmp_path))
    assert build_data(DataPart(train_limit=2, eval_limit=2), part).tokenizer.name_or_path == str(tmp_path)


def test_a_share_of_the_training_rows_is_held_out_and_the_validation_rows_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,label\n" + "".join(f"{'fox ' * (n + 1)},{'ab'[n % 2]}\n" for n in range(20)))
    bert_like().save_pretrained(tmp_path / "tokenizer")
    part = TeacherPart.model_validate({"config": {"model_type": "bert"}, "training": {}})
    given = DataPart.model_validate(
        {
            **{"path": str(tmp_path / "t.csv"), "kind": "classification", "tokenizer": str(tmp_path / "tokenizer")},
            **{"splits": {"train": str(tmp_path / "t.csv"), "validation": str(tmp_path / "none.csv")}},
        }
    )
    whole, *_ = (build_data(given.model_copy(update={"splits": {"train": given.path}}), part).train.examples,)
    data = build_data(given.model_copy(update={"heldout_share": 0.25}), part)
    again, other = (build_data(given.model_copy(update={"heldout_share": 0.25, "seed": s}), part) for s in (0, 1))
    both = [*data.train.examples, *data.heldout.examples]
    assert (len(data.train.examples), len(data.heldout.examples)) == (15, 5)
    assert all(one in both for one in whole) and not any(one in data.train.examples for one in data.heldout.examples)
    assert again.heldout.examples == data.heldout.examples != other.heldout.examples
    limited = build_data(given.model_copy(update={"heldout_share": 0.25, "eval_limit": 3}), part)
    assert len(limited.heldout.examples) == 3 and limited.train.examples == data.train.examples
    assert all(example in data.heldout.examples for example in limited.heldout.examples)
    with pytest.raises(
        ValueError, match=r"data.heldout_share: 0.01 of 20 training examples are 0; hold out at least 2"
    ):
        build_data(given.model_copy(update={"heldout_share": 0.01}), part)


def test_the_windows_of_a_question_are_not_divided(tmp_path: Path) -> None:
    rows = [
        {"question": f"who {n}", "context": "he", "answers": {"text": ["he"], "answer_start": [0]}} for n in range(9)
    ]
    (tmp_path / "t.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    bert_like().save_pretrained(tmp_path / "tokenizer")
    part = TeacherPart.model_validate({"config": {"model_type": "bert"}, "training": {}})
    given = DataPart(
        path=str(tmp_path / "t.jsonl"),
        kind="question_answering",
        tokenizer=str(tmp_path / "tokenizer"),
        max_length=16,
        heldout_share=0.3,
    )
    with pytest.raises(ValueError, match="windows of one question would be on both sides"):
        build_data(given, part)


def test_the_seed_of_the_data(recipe: Recipe, data: Data) -> None:
    other = build_data(recipe.data.model_copy(update={"seed": 1}), recipe.teacher)
    assert other.train.examples[0] != data.train.examples[0]


def test_an_end_token_stands_in_for_padding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lm").mkdir()
    for name in ("enwiki_gensim.txt", "wikitext2.raw.valid.txt"):
        (tmp_path / "lm" / name).write_text(WORDS * 3)
    monkeypatch.setenv("CAUSALKD_DATA", str(tmp_path))
    gpt2_like().save_pretrained(tmp_path / "tokenizer")
    part = TeacherPart.model_validate({"config": {"model_type": "gpt2"}, "training": {}})
    data = build_data(DataPart(task="wikitext_causal_lm", max_length=8, tokenizer=str(tmp_path / "tokenizer")), part)
    assert data.tokenizer.pad_token == "<|endoftext|>" and data.labels is None


def test_a_tokenizer_that_cannot_fill_rows_up(tmp_path: Path) -> None:
    tokenizer = bert_like().__class__(tokenizer_object=bert_like().backend_tokenizer)
    tokenizer.save_pretrained(tmp_path)
    part = TeacherPart.model_validate({"config": {"model_type": "bert"}, "training": {}})
    with pytest.raises(ValueError, match="has neither a padding nor an end token to fill rows up with; give it a padd"):
        build_data(DataPart(task="sst2", tokenizer=str(tmp_path)), part)


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
    with pytest.raises(ValueError, match=r"^teacher\.model: .*asked for were .* a new head: .*`teacher.training`"):
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

    def chosen(right: torch.Tensor | None = None, **kind: str) -> list[Batch]:
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


def test_labels_take_the_order_of_the_teachers_checkpoint(tmp_path: Path) -> None:
    model = tiny("bert", "classification", labels=2)
    model.config.id2label = {0: "Good", 1: "bad"}
    model.save_pretrained(tmp_path / "teacher")
    bert_like().save_pretrained(tmp_path / "teacher")
    (tmp_path / "a.csv").write_text("text,label\n" + "the fox,good\na cat,bad\n" * 5)
    part = DataPart.model_validate({"path": str(tmp_path / "a.csv"), "kind": "classification"})
    data = build_data(part, TeacherPart(model=str(tmp_path / "teacher")))
    assert data.train.labels == data.heldout.labels == ("good", "bad")
    named = load_examples(data_of(part), "train", bert_like())
    assert named.labels == ("bad", "good")
    assert [data.train.labels[e["label"]] for e in data.train.examples] == [
        named.labels[e["label"]] for e in named.examples
    ]


def test_metrics_of_another_kind_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("text,label\n" + "".join(f"a b {n},{'xyz'[n % 3]}\n" for n in range(30)))
    bert_like().save_pretrained(tmp_path / "tokenizer")
    given = {"path": str(tmp_path / "mine.csv"), "kind": "classification", "tokenizer": str(tmp_path / "tokenizer")}
    teacher = TeacherPart(config={"model_type": "bert"}, training=TrainingPart(steps=1))
    for metrics, message in ((("pearson",), "is for regression"), (("accuracy", "f1"), "there are 3; use macro_f1")):
        with pytest.raises(ValueError, match=message):
            build_data(DataPart(**given, metrics=metrics), teacher)
    data = build_data(DataPart(**given, metrics=("macro_f1", "accuracy")), teacher)
    assert (data.heldout.metric, data.heldout.further) == ("macro_f1", ("accuracy",))


def test_a_model_is_not_measured_on_what_it_learns_from(tmp_path: Path) -> None:
    bert_like().save_pretrained(tmp_path)
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("text,label\n" + "the fox,a\na cat,b\n" * 4)
    own = {"path": str(tmp_path / "a.csv"), "kind": "classification", "tokenizer": str(tmp_path)}
    fresh = TeacherPart.model_validate({"config": {"model_type": "bert"}, "training": {"steps": 1}})
    for same in ("train", "a.csv"):
        with pytest.raises(ValueError, match=r"are the same rows, .*a\.csv, so models would be measured on what they"):
            build_data(DataPart.model_validate({**own, "splits": {"validation": same}}), fresh)
    assert build_data(DataPart.model_validate({**own, "splits": {"validation": "b.csv"}}), fresh).labels == ("a", "b")
