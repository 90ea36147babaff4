"""Two steps of the trainer with each method on a tiny pair of models: does every parameter move that can?"""

import tempfile
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from transformers import TrainingArguments

from causalkd.alignment.resolve import resolve
from causalkd.alignment.spec import Alignment, Site, SitePair
from causalkd.data.batch import Batch
from causalkd.data.pairs.draw_positions import PositionPolicy
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.objectives.adkd import ADKD
from causalkd.objectives.atkd import ATKD
from causalkd.objectives.base import Objective, Weighted
from causalkd.objectives.diito import DIITO
from causalkd.task_types import Task
from causalkd.training.trainer import DistillationTrainer
from tests.architectures.inputs import BASE, positions
from tests.objectives.steps import labels_of

# The second step moves what the first has no gradient for: an adapter starts with one of its two maps at zero.
_STEPS = 2
# What a step need not move, by parts of its name or the type of its model, and why.
UNMOVED: Mapping[str, str] = {
    **dict.fromkeys(("audio_tower", "vision_tower", "vision_model", "visual", "vqmodel"), "reads no text"),
    **dict.fromkeys(("multi_modal_projector", "connector", "vision_adapter", "vision_projection"), "reads no text"),
    "image_newline": "reads no text",
    "encoder_attn": "reads what an encoder computed, which a decoder alone has not",
    "encoder_attn_layer_norm": "reads what an encoder computed, which a decoder alone has not",
    "phimoe router": "an expert far ahead of the others has a share of 1, whatever the router says",
    "indexer": "ranks the tokens to attend to, and an order has no gradient",
}
_ALIGNMENT = Alignment(
    name="tests",
    positions=PositionPolicy(policy="all"),
    pairs=(SitePair(name="middle", teacher=(Site(layer=1),), student=(Site(layer=1),)),),
)


def _diito(teacher: HookedModel, student: HookedModel) -> Objective:
    return DIITO(resolve(_ALIGNMENT, teacher, student), teacher, student)


def _adkd(teacher: HookedModel, student: HookedModel) -> Objective:
    return ADKD(teacher, student, views=2 if student.task.endswith("_lm") else "all")


def _atkd(teacher: HookedModel, student: HookedModel) -> Objective:
    return ATKD()


class Method(NamedTuple):
    """A method of distillation and the heads that it exists for."""

    objective: Callable[[HookedModel, HookedModel], Objective]
    tasks: tuple[Task, ...]


_TOKENS_AND_CLASSES: tuple[Task, ...] = ("masked_lm", "causal_lm", "classification", "token_classification")
METHODS: Mapping[str, Method] = {
    "DIITO": Method(_diito, (*_TOKENS_AND_CLASSES, "question_answering")),
    "AD-KD": Method(_adkd, ("masked_lm", "causal_lm", "classification")),
    "ATKD": Method(_atkd, _TOKENS_AND_CLASSES),
}


def unmoved(name: str, teacher: HookedModel, student: HookedModel) -> str | None:
    """The trainable parameters of a student that two steps of a method leave where they were; None for no others than
    those of `UNMOVED`.

    Raises:
        ValueError: The method refuses these models, or its loss is not a finite number.
    """
    student.model.train()
    before = {key: weight.detach().clone() for key, weight in student.model.named_parameters() if weight.requires_grad}
    batch = Batch(
        BASE, labels_of(student.task, BASE), positions={"middle": positions()}, source_rows=torch.tensor([1, 2, 0])
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=_STEPS,
            learning_rate=1e-2,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            use_cpu=True,
            dataloader_pin_memory=False,
            disable_tqdm=True,
            max_grad_norm=0.0,
        )
        DistillationTrainer(
            student,
            {name: Weighted(1.0, METHODS[name].objective(teacher, student))},
            teacher,
            args=arguments,
            train_dataset=[{}] * 8 * _STEPS,  # type: ignore[arg-type]
            data_collator=lambda _: batch.tensors(),
        ).train()
    trained = student.model.get_parameter
    still = [key for key, weight in before.items() if torch.equal(trained(key), weight)]
    left = [key for key in still if not _is_excused({student.model.config.model_type, *key.split(".")})]
    return f"{len(left)} of {len(before)} parameters do not move, such as {left[0]}" if left else None


def _is_excused(parts: set[str]) -> bool:
    return any(parts.issuperset(given.split()) for given in UNMOVED)
