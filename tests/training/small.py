"""What the tests of the trainer share: a few examples, a teacher and a student, every objective, six quick steps."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainingArguments

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment, Site, SitePair
from causalkd.data.pairs.collator import ExampleSet, PairingCollator
from causalkd.data.pairs.draw_positions import PositionPolicy
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.base import Weighted
from causalkd.objectives.diito import DIITO
from causalkd.objectives.hidden_kd import HiddenKD
from causalkd.objectives.response_kd import ResponseKD, TaskLoss
from causalkd.training.callbacks import SetEpoch
from causalkd.training.trainer import DistillationTrainer
from tests.tiny import PAD, tiny

ALIGNMENT = Alignment(
    name="tests",
    positions=PositionPolicy(policy="consecutive", fraction=0.5),
    pairs=(
        SitePair(name="early", teacher=(Site(layer=0),), student=(Site(layer=0),)),
        SitePair(name="late", teacher=(Site(layer=1, component="mlp_output"),), student=(Site(layer=1),)),
    ),
)


def examples(count: int = 24) -> list[dict[str, Any]]:
    """Rows of 5 to 9 tokens in three classes."""
    generator = torch.Generator().manual_seed(0)

    def draw(low: int, high: int, size: int) -> list[int]:
        return torch.randint(low, high, (size,), generator=generator).tolist()

    lengths, labels = draw(5, 10, count), draw(0, 3, count)
    return [{"input_ids": draw(4, 97, n), "label": label} for n, label in zip(lengths, labels, strict=True)]


def models(dropout: float = 0.1, dtype: torch.dtype = torch.float32) -> tuple[HookedModel, HookedModel]:
    one = tiny("bert", "classification", seed=0, dtype=dtype)
    other = tiny("distilbert", "classification", seed=1, layers=2, dropout=dropout, dtype=dtype)
    return (
        HookedModel(one, task="classification", role="teacher"),
        HookedModel(other, task="classification", role="student"),
    )


def objectives(teacher: HookedModel, student: HookedModel, projection: bool = False) -> dict[str, Weighted]:
    return {
        "task": Weighted(1.0, TaskLoss()),
        "response_kd": Weighted(0.5, ResponseKD()),
        "hidden_kd": Weighted(0.25, HiddenKD(teacher, student, projection=projection)),
        "diito": Weighted(2.0, DIITO(resolve(ALIGNMENT, teacher, student), teacher, student)),
    }


def trainer(
    folder: Path,
    pair: tuple[HookedModel, HookedModel],
    terms: dict[str, Weighted] | None = None,
    group: int = 8,
    rows: list[dict[str, Any]] | None = None,
    compile_blocks: bool = False,
    optimizers: Any = (None, None),
    **options: Any,
) -> DistillationTrainer:
    """Six steps over two epochs of three batches, unless the options say otherwise."""
    teacher, student = pair
    rows = examples() if rows is None else rows
    data = ExampleSet(rows)
    chosen = {
        "per_device_train_batch_size": 8,
        "max_steps": 6,
        "learning_rate": 1e-3,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "disable_tqdm": True,
        "seed": 0,
    }
    return DistillationTrainer(
        student,
        objectives(teacher, student) if terms is None else terms,
        teacher,
        args=TrainingArguments(str(folder), **{**chosen, **options}),
        train_dataset=data,
        data_collator=PairingCollator(rows, ALIGNMENT.policies(), PAD, group=group),
        callbacks=[SetEpoch(data)],
        compile_blocks=compile_blocks,
        optimizers=optimizers,
    )


def logged(finished: DistillationTrainer, key: str = "loss") -> list[float]:
    return [row[key] for row in finished.state.log_history if key in row]


def weights(model: HookedModel) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.model.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())
