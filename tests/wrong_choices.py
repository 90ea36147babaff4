"""A program without checks of types: every choice by a name that there is not, and what is said of it."""

import torch

from causalkd import (
    ADKD,
    ATKD,
    DIITO,
    DIITOHidden,
    HiddenKD,
    HookedModel,
    PairingCollator,
    ResponseKD,
    agreement,
    attribution_map,
    class_views,
    preset,
    resolve,
)
from causalkd.data.tasks.instructions import prompt_ids
from tests.tiny import tiny

TEACHER = HookedModel(tiny("bert", "classification"), task="classification", role="teacher")
STUDENT = HookedModel(tiny("bert", "classification", layers=2), task="classification", role="student")
RESOLVED = resolve(preset("middle", 3, 2), TEACHER, STUDENT)
ROWS, INPUTS = [{"input_ids": [5, 6], "label": 0}], {"input_ids": torch.ones(1, 2, dtype=torch.long)}
for call in (
    lambda: HookedModel(STUDENT.model, task="classification", role="techer"),
    lambda: HookedModel(STUDENT.model, task="clasification", role="teacher"),
    lambda: DIITO(RESOLVED, TEACHER, STUDENT, tokens="labeled"),
    lambda: DIITO(RESOLVED, TEACHER, STUDENT, pairs="each"),
    lambda: DIITOHidden(RESOLVED, TEACHER, STUDENT, distance="cos"),
    lambda: HiddenKD(TEACHER, STUDENT, distance="mse"),
    lambda: ResponseKD(tokens="labeled"),
    lambda: ATKD(split="sentence"),
    lambda: ADKD(TEACHER, STUDENT, distance="l3"),
    lambda: PairingCollator(ROWS, {}, 0, side="lef"),
    lambda: PairingCollator(ROWS, {}, 0, sources="data"),
    lambda: attribution_map(TEACHER, INPUTS, class_views(3, 1), reduction="l1"),
    lambda: attribution_map(TEACHER, INPUTS, class_views(3, 1), target="prob"),
    lambda: prompt_ids([], None, "Chat"),
    lambda: agreement(torch.ones(2, 5), torch.ones(1, 5), torch.ones(2, 5).bool()),
):
    try:
        print("accepted:", call())
    except ValueError as error:
        print(error)
