"""Four micro-batches with different numbers of tokens teach what one large batch teaches, whatever the loss."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import TrainingArguments

from causalkd.alignment.resolve import resolve
from causalkd.data.batch import IGNORED
from causalkd.data.pairs.collator import ExampleSet, PairingCollator
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.atkd import ATKD, DKD
from causalkd.objectives.base import Objective, Weighted
from causalkd.objectives.cached_predictions import OutputCache
from causalkd.objectives.diito import DIITO, DIITOHidden
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.training.callbacks import SetEpoch
from causalkd.training.teacher_cache import TeacherCache
from causalkd.training.trainer import DistillationTrainer
from tests.tiny import PAD, tiny
from tests.training.small import ALIGNMENT, logged, weights

OBJECTIVES: dict[str, Any] = {
    "task": lambda teacher, student: TaskLoss(),
    "forward_kl": lambda teacher, student: ResponseKD(tokens="labelled"),
    "reverse_kl": lambda teacher, student: ResponseKD(divergence="reverse_kl"),
    "jensen_shannon": lambda teacher, student: ResponseKD(divergence="jensen_shannon"),
    "total_variation": lambda teacher, student: ResponseKD(divergence="total_variation", tokens="labelled"),
    "skewed_forward_kl": lambda teacher, student: ResponseKD(divergence="skewed_forward_kl"),
    "skewed_reverse_kl": lambda teacher, student: ResponseKD(divergence="skewed_reverse_kl"),
    "dkd": lambda teacher, student: DKD(),
    "atkd_sequence": lambda teacher, student: ATKD(split="sequence"),
    "atkd_running": lambda teacher, student: ATKD(split="running", reverse=True),
    "hidden_kd": lambda teacher, student: HiddenKD(teacher, student),
    "adkd": lambda teacher, student: ADKD(teacher, student, views=2, steps=2),
    "diito": lambda teacher, student: DIITO(resolve(ALIGNMENT, teacher, student), teacher, student),
    "diito_labelled": lambda teacher, student: DIITO(
        resolve(ALIGNMENT, teacher, student), teacher, student, tokens="labelled"
    ),
    "diito_hidden": lambda teacher, student: DIITOHidden(resolve(ALIGNMENT, teacher, student), teacher, student),
}


def _examples() -> list[dict[str, Any]]:
    """Sixteen rows of 5 to 19 tokens, of which the first two and up to half are not labelled."""
    generator, rows = torch.Generator().manual_seed(0), []
    for number in range(16):
        tokens = torch.randint(4, 97, (5 + (7 * number) % 15,), generator=generator).tolist()
        prompt = 2 + number % (len(tokens) // 2)
        rows.append({"input_ids": tokens, "label": [IGNORED] * prompt + tokens[prompt:]})
    return rows


def _models() -> tuple[HookedModel, HookedModel]:
    one, other = tiny("gpt2", "causal_lm", dtype=torch.float64), tiny("gpt2", "causal_lm", 1, 2, torch.float64)
    return HookedModel(one, task="causal_lm", role="teacher"), HookedModel(other, task="causal_lm", role="student")


def _trained(
    folder: Path,
    times: int,
    chosen: dict[str, Objective],
    teacher: HookedModel,
    student: HookedModel,
    memory: OutputCache | None = None,
    **sources: Any,
) -> DistillationTrainer:
    rows = _examples()
    data = ExampleSet(rows)
    arguments = TrainingArguments(
        str(folder),
        per_device_train_batch_size=8 // times,
        gradient_accumulation_steps=times,
        max_steps=3,
        optim="sgd",
        learning_rate=0.05,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )
    collator = PairingCollator(rows, ALIGNMENT.policies(), PAD, **(sources or {"group": 2}))
    terms = {name: Weighted(1.0, objective) for name, objective in chosen.items()}
    trainer = DistillationTrainer(
        *(student, terms, teacher), memory=memory, args=arguments, train_dataset=data, data_collator=collator,
        callbacks=[SetEpoch(data)],
    )  # fmt: skip
    trainer.train()
    return trainer


def test_every_objective_at_once(tmp_path: Path) -> None:
    finished = []
    for times in (1, 4):
        teacher, student = _models()
        chosen = {name: make(teacher, student) for name, make in OBJECTIVES.items()}
        chosen["atkd_running"]._quantile.past[1000:1100] = 1.0  # its first step would be split batch by batch
        finished.append((_trained(tmp_path, times, chosen, teacher, student), weights(student)))
    (large, of_large), (small, of_small) = finished
    for name in OBJECTIVES:
        assert logged(small, f"term/{name}") == pytest.approx(logged(large, f"term/{name}"), rel=1e-9), name
    for parameter, weight in of_large.items():
        torch.testing.assert_close(of_small[parameter], weight, rtol=1e-9, atol=1e-9, msg=parameter)


@pytest.mark.parametrize("sources", [{"sources": "dataset"}, {"group": 4}], ids=["dataset", "batch"])
def test_crossway_has_the_sources_tokens_too(tmp_path: Path, sources: dict[str, Any]) -> None:
    """What is averaged over the tokens of the source is another part of the step than what is over those of base."""
    finished = []
    for times in (1, 2):
        teacher, student = _models()
        resolved = resolve(ALIGNMENT, teacher, student)
        chosen = {
            "predictions": DIITO(resolved, teacher, student, tokens="labelled", crossway=True, pairs="all"),
            "hidden": DIITOHidden(resolved, teacher, student, crossway=True),
        }
        finished.append((_trained(tmp_path, times, chosen, teacher, student, **sources), weights(student)))
    (large, of_large), (small, of_small) = finished
    for name in ("predictions", "hidden"):
        assert logged(small, f"term/{name}") == pytest.approx(logged(large, f"term/{name}"), rel=1e-10), name
    for parameter, weight in of_large.items():
        torch.testing.assert_close(of_small[parameter], weight, rtol=1e-9, atol=1e-9, msg=parameter)


def test_atkd_counts_what_a_short_memory_would_change(tmp_path: Path) -> None:
    """Later epochs with all predictions kept equal one large batch; with a few of each they are refused."""
    finished = []
    for times in (1, 4):
        teacher, student = _models()
        chosen: dict[str, Objective] = {"atkd": ATKD(split="sequence")}
        finished.append(logged(_trained(tmp_path, times, chosen, teacher, student, TeacherCache(teacher)), "term/atkd"))
    assert finished[1] == pytest.approx(finished[0], rel=1e-9)
    teacher, student = _models()
    with pytest.raises(ValueError, match="a teacher cache with top_k changes these from the second epoch on"):
        _trained(tmp_path, 4, {"atkd": ATKD(split="running")}, teacher, student, TeacherCache(teacher, top_k=5))


def test_a_running_quantile_is_kept_in_a_checkpoint(tmp_path: Path) -> None:
    teacher, student = _models()
    trainer = _trained(tmp_path, 4, {"atkd": ATKD(split="running")}, teacher, student)
    trainer.save_model(str(tmp_path / "saved"))
    again = ATKD(split="running")
    other = _trained(tmp_path, 1, {"atkd": again}, teacher, _models()[1])
    other._load_from_checkpoint(str(tmp_path / "saved"))
    for name, buffer in again.state_dict().items():
        assert torch.equal(buffer, trainer.objectives["atkd"].objective.state_dict()[name])
