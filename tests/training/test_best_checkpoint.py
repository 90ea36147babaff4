"""If an earlier checkpoint is the best, the training ends with its weights: tied, adapted and learned by objectives."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import TrainingArguments

from causalkd.data.pairs.collator import ExampleSet, PairingCollator
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.lora import add_lora
from causalkd.objectives.base import Weighted
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD
from causalkd.training.trainer import DistillationTrainer
from tests.architectures.zoo import tiny_of
from tests.tiny import PAD
from tests.training.small import examples

BEST = 2


@pytest.mark.parametrize("kind", ["gpt2", "gpt_neox"])  # tied, and of other names in the file
@pytest.mark.parametrize("adapted", [False, True])
def test_the_best_checkpoint_is_what_a_training_ends_with(kind: str, adapted: bool, tmp_path: Path) -> None:
    """Before, a projection that an objective learned stayed as it was at the last step."""
    teacher = HookedModel(tiny_of(kind, "causal_lm"), task="causal_lm", role="teacher")
    student = HookedModel(tiny_of(kind, "causal_lm"), task="causal_lm", role="student")
    if adapted:
        add_lora(student, rank=2)
    projected = HiddenKD(teacher, student, projection=True)
    kept: dict[int, dict[str, Tensor]] = {}

    def now() -> dict[str, Tensor]:
        return {**student.model.state_dict(), **projected.state_dict()}

    def measure() -> dict[str, float]:
        step = made.state.global_step
        kept[step] = {name: weight.clone() for name, weight in now().items()}
        return {"score": float(step == BEST)}

    rows = [{"input_ids": row["input_ids"]} for row in examples(8)]
    made = DistillationTrainer(
        student,
        {"kd": Weighted(1.0, ResponseKD()), "hidden": Weighted(1.0, projected)},
        teacher,
        measure=measure,
        args=TrainingArguments(
            str(tmp_path),
            max_steps=4,
            learning_rate=0.05,
            per_device_train_batch_size=4,
            use_cpu=True,
            report_to="none",
            eval_strategy="steps",
            eval_steps=1,
            save_strategy="steps",
            save_steps=1,
            load_best_model_at_end=True,
            metric_for_best_model="score",
            greater_is_better=True,
        ),
        train_dataset=ExampleSet(rows),
        eval_dataset=ExampleSet(rows),
        data_collator=PairingCollator(rows, {}, PAD),
    )
    made.train()
    assert made.state.best_global_step == BEST
    found, last = now(), kept[4]
    assert [name for name in found if not torch.equal(found[name], kept[BEST][name])] == []
    assert sum(not torch.equal(found[name], last[name]) for name in found) > 1
    if kind == "gpt2" and not adapted:
        assert student.model.get_output_embeddings().weight is student.model.get_input_embeddings().weight
