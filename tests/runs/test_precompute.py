"""Students learn from a teacher's precomputed outputs what they learn beside it, and it need not be there."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from causalkd.data.tasks.generated import generated_task
from causalkd.models.configs import make_config
from causalkd.models.load import model_from_config
from causalkd.recipe.recipe import Recipe
from causalkd.runs import distill as runs
from causalkd.runs.precompute import precompute
from causalkd.training.callbacks import read_rows
from tests.shrunk import RESUMED, planted_model, shrunk

OBJECTIVES = {
    "quickstart": "{response_kd: {}, atkd: {}, hidden_kd: {}, diito: {crossway: true}, diito_hidden: {}, "
    "adkd: {steps: 2}}",
    "quickstart-lm": "{response_kd: {}, atkd: {split: sequence}, diito: {pairs: all}, adkd: {views: 2}}",
}
_SMALL = ("data.train_limit=24", "data.eval_limit=8", "verification.pairs=8", "verification.batch_size=4")


def _lm_teacher(folder: Path) -> None:
    made = generated_task("planted_lm")
    assert made is not None
    tokenizer = made.generator().tokenizer()
    sizes = {"n_embd": 16, "n_head": 2, "n_inner": 16, "n_layer": 4, "n_positions": 64}
    config = make_config({"model_type": "gpt2", **sizes}, tokenizer)
    model_from_config(config, tokenizer, task="causal_lm", role="student").save_pretrained(folder)


def _recipe(base: Path, name: str, output: str, *changes: str) -> Recipe:
    teacher = base / "teacher"
    student = f"{{name: only, layers: [1, 3], training: {{steps: 4}}, objectives: {OBJECTIVES[name]}}}"
    own = ("teacher.config=null", "teacher.training=null", f"teacher.model={teacher}", f"students=[{student}]")
    own += ("training.batch_size=8", "training.logging_steps=1", "data.group=4", *_SMALL)
    own += RESUMED[-1:] if name == "quickstart" else ()
    return shrunk(name, base / output, *own, *changes)


@pytest.mark.parametrize(
    ("name", "further"),
    [
        ("quickstart", ()),
        ("quickstart-lm", ("training.gradient_accumulation=2", "training.batch_size=4", "data.sources=dataset")),
    ],
)
def test_a_student_learns_the_same_without_the_teacher(name: str, further: tuple[str, ...], tmp_path: Path) -> None:
    planted_model(num_hidden_layers=4).save_pretrained(tmp_path / "teacher") if name == "quickstart" else _lm_teacher(
        tmp_path / "teacher"
    )
    outputs = tmp_path / "outputs"
    precompute(_recipe(tmp_path, name, "never", *further), outputs)
    assert not (tmp_path / "never").exists()
    written = {path: path.stat().st_mtime_ns for path in outputs.glob("*.safetensors")}
    precompute(_recipe(tmp_path, name, "never", *further), outputs)  # what is there is not made again
    assert {path: path.stat().st_mtime_ns for path in outputs.glob("*.safetensors")} == written

    runs.distill(_recipe(tmp_path, name, "beside", *further))
    shutil.move(tmp_path / "teacher", tmp_path / "gone")
    changes = (*further, f"teacher.outputs={outputs}")
    with pytest.raises(ValueError, match=r"trained and kept; .*and the teacher itself must be there again"):
        runs.distill(_recipe(tmp_path, name, "without", *changes))
    one, other = (load_file(tmp_path / run / "student" / "model.safetensors") for run in ("beside", "without"))
    start = load_file(outputs / "students" / "only-seed0" / "model.safetensors")
    assert max((one[key] - start[key]).abs().max().item() for key in one) > 1e-4
    assert max((one[key] - other[key]).abs().max().item() for key in one) < 1e-6
    first, second = (read_rows(tmp_path / run / "metrics.jsonl") for run in ("beside", "without"))
    assert len(first) == len(second) == 4
    for row, again in zip(first, second, strict=True):
        terms = [key for key in row if key.startswith("term/")]
        assert terms and all(again[key] == pytest.approx(row[key], abs=1e-6) for key in terms)

    shutil.move(tmp_path / "gone", tmp_path / "teacher")
    report = runs.distill(_recipe(tmp_path, name, "without", *changes))
    assert report.students[0].name == "only"
    with pytest.raises(ValueError, match=r"the precomputed outputs of the teacher lack .*; call `causalkd precompute`"):
        runs.distill(_recipe(tmp_path, name, "other", *changes, "data.seed=5"))


def test_what_cannot_be_known_before_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError) as caught:
        precompute(shrunk("quickstart", tmp_path / "run", "verification.eval_every_steps=2"), tmp_path / "outputs")
    for fault in ("the teacher is to be trained first", "`verification.eval_every_steps` measures the teacher"):
        assert fault in str(caught.value)
    assert not (tmp_path / "outputs").exists()
    planted_model(num_hidden_layers=4).save_pretrained(tmp_path / "teacher")
    with pytest.raises(ValueError, match=r"holds no precomputed outputs that are finished"):
        runs.distill(_recipe(tmp_path, "quickstart", "run", f"teacher.outputs={tmp_path / 'teacher'}"))
    assert torch.is_grad_enabled() and not (tmp_path / "run").exists()


def test_outputs_of_another_student_or_teacher_are_refused(tmp_path: Path) -> None:
    """The student is cut from the teacher when its outputs are written, and measured beside it at the end."""
    planted_model(num_hidden_layers=4).save_pretrained(tmp_path / "teacher")
    small = ("students.only.objectives={response_kd: {}}", "students.only.training={steps: 1}")
    outputs = tmp_path / "outputs"
    precompute(_recipe(tmp_path, "quickstart", "never", *small), outputs)
    there = (*small, f"teacher.outputs={outputs}")
    with pytest.raises(ValueError, match=r"for \{'layers': \[1, 3\], .* is now \{'layers': \[0, 3\], .*seed 0; call"):
        runs.distill(_recipe(tmp_path, "quickstart", "other", *there, "students.only.layers=[0, 3]"))
    with pytest.raises(ValueError, match=r"seeds \[0\], and student 'only' is now .*, seed 4; call `causalkd"):
        runs.distill(_recipe(tmp_path, "quickstart", "other", *there, "seeds=[4]"))
    with pytest.raises(ValueError, match="were written for no such student, and student 'new' is now"):
        runs.distill(_recipe(tmp_path, "quickstart", "other", *there, "students.only.name=new"))
    shutil.rmtree(tmp_path / "teacher")
    planted_model(num_hidden_layers=4, initializer_range=0.5).save_pretrained(tmp_path / "teacher")
    with pytest.raises(ValueError, match=r"are of a teacher with other weights than `teacher.model` .*teacher"):
        runs.distill(_recipe(tmp_path, "quickstart", "beside", *there))


def test_outputs_are_written_over_nothing_else(tmp_path: Path) -> None:
    planted_model(num_hidden_layers=4).save_pretrained(tmp_path / "teacher")
    recipe = _recipe(tmp_path, "quickstart", "never")
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(
        ValueError, match=r"holds note.txt, so it is not a folder of a teacher's outputs; choose another"
    ):
        precompute(recipe, tmp_path)
    with pytest.raises(ValueError, match=r"note.txt is a file, so outputs cannot be written there"):
        precompute(recipe, tmp_path / "note.txt")
    with pytest.raises(ValueError, match=r"--top-k keeps 3 predictions of a language model, .* is classification"):
        precompute(recipe, tmp_path / "outputs", top_k=3)
    assert {path.name for path in tmp_path.iterdir()} == {"note.txt", "teacher"}
