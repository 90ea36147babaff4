"""A teacher's answers kept between epochs: never a stale one, never a forward for what is known, within the limit."""

import sqlite3
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from causalkd.data.batch import Batch
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.base import Weighted
from causalkd.objectives.response_kd import ResponseKD
from causalkd.runs.command_line.environment_faults import environment_fault
from causalkd.training.teacher_cache import TeacherCache, _File
from causalkd.training.trainer import DistillationTrainer
from tests.tiny import PAD, tiny, tiny_inputs
from tests.training.small import logged, models, trainer

BATCH = Batch(tiny_inputs(4, 10))
ANSWER = {"logits": torch.randn(4, 3), "scores": torch.randn(4, 10, 2) * BATCH.counted[..., None]}


def _teacher(architecture: str = "bert", seed: int = 0) -> HookedModel:
    return HookedModel(tiny(architecture, "classification", seed=seed), task="classification", role="teacher")


def _padded_more(side: str, order: Tensor) -> Batch:
    """Some of the rows, padded to 12 positions."""
    wider = {}
    for name, tensor in BATCH.inputs.items():
        rows = [tensor[n][BATCH.counted[n]] for n in order.tolist()]
        filler = 0 if name == "attention_mask" else PAD
        around = [(12 - len(row), 0) if side == "left" else (0, 12 - len(row)) for row in rows]
        wider[name] = torch.stack([pad(row, put, value=filler) for row, put in zip(rows, around, strict=True)])
    return Batch(wider)


@pytest.mark.parametrize(("architecture", "side"), [("bert", "right"), ("gpt2", "right"), ("gpt2", "left")])
def test_what_was_kept_is_recalled_whatever_stands_beside_it(architecture: str, side: str) -> None:
    cache, order = TeacherCache(_teacher(architecture)), torch.tensor([3, 1])
    cache.keep("all", BATCH, ANSWER)
    again = cache.recall("all", BATCH)
    assert again is not None and all(torch.equal(again[name], tensor) for name, tensor in ANSWER.items())
    moved = _padded_more(side, order)
    found = cache.recall("all", moved)
    assert found is not None and torch.equal(found["logits"], ANSWER["logits"][order])
    assert torch.equal(
        found["scores"][moved.counted], torch.cat([ANSWER["scores"][n][BATCH.counted[n]] for n in order])
    )
    assert found["scores"][~moved.counted].abs().max() == 0


def test_an_encoder_sees_padding_before_a_row() -> None:
    teacher, order = _teacher(), torch.tensor([3, 1])
    cache, moved = TeacherCache(teacher), _padded_more("left", order)
    cache.keep("all", BATCH, ANSWER)
    assert (teacher.run(moved.inputs).logits - teacher.run(BATCH.inputs).logits[order]).abs().max() > 1e-2
    assert cache.recall("all", moved) is None


@pytest.mark.parametrize("architecture", ["bert", "gpt2"])
def test_a_row_with_a_gap_is_another_row(architecture: str) -> None:
    """The same tokens, but between them one that does not count."""
    teacher = _teacher(architecture)
    whole = {"input_ids": torch.tensor([[5, 6, 7, PAD]]), "attention_mask": torch.tensor([[1, 1, 1, 0]])}
    gap = {"input_ids": torch.tensor([[5, 6, 9, 7]]), "attention_mask": torch.tensor([[1, 1, 0, 1]])}
    cache = TeacherCache(teacher)
    cache.keep("all", Batch(whole), {"logits": teacher.run(whole).logits})
    assert cache.recall("all", Batch(whole)) is not None
    assert not torch.allclose(teacher.run(gap).logits, teacher.run(whole).logits)
    assert cache.recall("all", Batch(gap)) is None


def test_a_teacher_that_has_changed_is_another() -> None:
    teacher = _teacher()
    before = {name: weight.clone() for name, weight in teacher.model.state_dict().items()}
    cache = TeacherCache(teacher)
    cache.keep("all", BATCH, ANSWER)
    with torch.no_grad():
        teacher.model.get_input_embeddings().weight.add_(1)
    assert cache.recall("all", BATCH) is None
    teacher.model.load_state_dict(before)
    assert cache.recall("all", BATCH) is not None
    teacher.model.load_state_dict(_teacher(seed=1).model.state_dict(), assign=True)
    assert cache.recall("all", BATCH) is None


def test_nothing_else_is_recalled() -> None:
    cache = TeacherCache(_teacher())
    cache.keep("all", BATCH, ANSWER, torch.zeros(4, 1, dtype=torch.long))
    beside = torch.zeros(4, 1, dtype=torch.long)
    assert cache.recall("all", BATCH, beside) is not None
    assert cache.recall("label", BATCH, beside) is None
    with torch.autocast("cpu", torch.bfloat16):
        assert cache.recall("all", BATCH, beside) is None
    assert cache.recall("all", BATCH) is None and cache.recall("all", BATCH, beside + 1) is None
    changed = BATCH.inputs["input_ids"].clone()
    changed[2, 0] += 1
    assert cache.recall("all", Batch({**BATCH.inputs, "input_ids": changed}), beside) is None


def test_a_map_is_recalled_by_students_of_another_seed() -> None:
    teacher, _ = models()
    cache, query = TeacherCache(teacher), ADKD(*models()).query
    cache.keep(query.key, BATCH, ANSWER)
    assert cache.recall(ADKD(*models(), seed=3).query.key, BATCH) is not None
    assert cache.recall(ADKD(*models(), steps=2).query.key, BATCH) is None


def test_the_limit_is_kept_and_the_first_rows_stay() -> None:
    whole = TeacherCache(_teacher())
    whole.keep("all", BATCH, ANSWER)
    half = TeacherCache(_teacher(), limit=whole._size // 2)
    with pytest.warns(
        UserWarning, match=r"fill the cache of .* MiB with \d of them; a batch with a row that is not kept"
    ):
        half.keep("all", BATCH, ANSWER)
    half.keep("other", BATCH, ANSWER)  # warns once
    assert half.recall("all", BATCH) is None
    assert half._size <= whole._size // 2
    first = Batch({name: tensor[:1] for name, tensor in BATCH.inputs.items()})
    assert half.recall("all", first) is not None


def test_a_file_serves_a_later_run_of_the_same_teacher_only(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    TeacherCache(_teacher(), path=path).keep("all", BATCH, ANSWER)
    again = TeacherCache(_teacher(), path=path)
    assert again._size == sum(map(len, again._answers.values())) > 0  # what is there counts towards the limit
    found = again.recall("all", BATCH)
    assert found is not None and torch.equal(found["scores"], ANSWER["scores"])
    with pytest.raises(ValueError, match=r"keeps the outputs of teacher \w+, and this one is \w+: other weights"):
        TeacherCache(_teacher(seed=1), path=path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "answers.sqlite"
    cache = TeacherCache(_teacher(), path=path)
    cache.keep("all", BATCH, ANSWER)
    with sqlite3.connect(path) as base:
        base.execute("UPDATE outputs SET value = CAST(substr(value, 1, length(value) - 1) || 'x' AS BLOB)")
    with pytest.raises(ValueError, match=r"answers.sqlite is damaged \(a value is not what was written\); delete it"):
        cache.recall("all", BATCH)
    (tmp_path / "text.sqlite").write_text("no database" * 100)
    with pytest.raises(ValueError, match=r"text.sqlite is damaged \(file is not a database\); delete it"):
        TeacherCache(_teacher(), path=tmp_path / "text.sqlite")


def test_a_full_disk_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    cache = TeacherCache(_teacher(), path=tmp_path / "answers.sqlite")
    assert isinstance(cache._answers, _File)
    cache._answers._rows("PRAGMA max_page_count = 4")
    with pytest.raises(OSError, match="database or disk is full") as caught:
        for number in range(50):
            cache.keep(f"all {number}", BATCH, ANSWER)
    assert "make room on the disk" in str(environment_fault(caught.value))


def test_items_of_each_row_come_back_one_after_another() -> None:
    cache, counts = TeacherCache(_teacher()), [2, 0, 3, 1]
    items = torch.randn(6, 5)
    cache.keep("items", BATCH, {"logits": items.split(counts), "choice": items.argmax(-1, keepdim=True).split(counts)})
    found = cache.recall("items", BATCH)
    assert found is not None and torch.equal(found["logits"], items)
    assert torch.equal(found["choice"], items.argmax(-1, keepdim=True))
    last = cache.recall("items", Batch({name: tensor[[3, 2]] for name, tensor in BATCH.inputs.items()}))
    assert last is not None and torch.equal(last["logits"], items[[5, 2, 3, 4]])


def test_with_states_a_training_with_interchanges_is_the_same_and_base_runs_no_teacher(tmp_path: Path) -> None:
    finished, ran = {}, {}
    for cached in (False, True):
        teacher, _ = pair = models()
        ran[cached] = []
        teacher.blocks[0].register_forward_hook(lambda *_, cached=cached: ran[cached].append(1))
        one = trainer(tmp_path / str(cached), pair)  # response and hidden KD, and DIITO at two sites
        one._memory = TeacherCache(teacher, states=True) if cached else None
        one.train()
        finished[cached] = one
    # Two epochs of three batches; counterfactuals resume after block 0.
    assert len(ran[False]) == 6 and len(ran[True]) == 3
    for key in ("loss", "term/hidden_kd", "term/diito"):
        assert logged(finished[True], key) == pytest.approx(logged(finished[False], key), rel=1e-4)


def _cached(folder: Path, cached: bool) -> tuple[DistillationTrainer, list[int]]:
    teacher, student = pair = models()
    ran: list[int] = []
    teacher.blocks[0].register_forward_hook(lambda *_: ran.append(1))
    terms = {"kd": Weighted(1.0, ResponseKD()), "adkd": Weighted(5.0, ADKD(teacher, student, steps=2, top_k=20))}
    one = trainer(folder, pair, terms)
    one._memory = TeacherCache(teacher) if cached else None
    one.train()
    return one, ran


def test_a_training_is_the_same_and_later_epochs_run_no_teacher(tmp_path: Path) -> None:
    plain, every = _cached(tmp_path / "plain", cached=False)
    cached, first = _cached(tmp_path / "cached", cached=True)
    # Two epochs of three batches; a teacher's run is its map's last step, the other step is a forward of its own.
    assert len(every) == 2 * 6 and len(first) == 2 * 3
    assert logged(cached) == pytest.approx(logged(plain), rel=1e-5)
    assert logged(cached, "term/adkd") == pytest.approx(logged(plain, "term/adkd"), rel=1e-4)
