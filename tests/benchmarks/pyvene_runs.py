"""The same work written with pyvene: a DIITO step, and interchange accuracy site by site."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import BertForMaskedLM, BertForSequenceClassification, PreTrainedModel
from transformers.modeling_outputs import MaskedLMOutput, SequenceClassifierOutput

from causalkd.alignment.pyvene.architectures import (
    pyvene,
    teach_model,
    teach_pyvene,
    type_to_dimension_mapping,
    type_to_module_mapping,
)
from causalkd.data.batch import Batch
from tests.benchmarks.plain import WEIGHTS, plain_kl, plain_terms
from tests.benchmarks.setting import Setting


class _MaskedLM(BertForMaskedLM):
    """Hands out its last hidden states: pyvene takes off the hooks with which transformers records them."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> MaskedLMOutput:  # type: ignore[override]
        hidden = self.bert(input_ids, attention_mask).last_hidden_state
        return MaskedLMOutput(logits=self.cls(hidden), hidden_states=(hidden,))


class _Classifier(BertForSequenceClassification):
    """The same with a classifier's head."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> SequenceClassifierOutput:  # type: ignore[override]
        found = self.bert(input_ids, attention_mask)
        logits = self.classifier(self.dropout(found.pooler_output))
        return SequenceClassifierOutput(logits=logits, hidden_states=(found.last_hidden_state,))


_WITH_HIDDEN = {"masked_lm": _MaskedLM, "classification": _Classifier}


def with_hidden(model: PreTrainedModel, setting: Setting) -> PreTrainedModel:
    """A copy of a stock model, in its mode and as trainable, that hands out its last hidden states."""
    teach_model(model)
    kind = _WITH_HIDDEN[setting.task]
    for table in (type_to_module_mapping, type_to_dimension_mapping):
        table[kind] = table[type(model)]
    copied = kind(model.config)
    copied.load_state_dict(model.state_dict())
    wanted = next(model.parameters()).requires_grad
    return copied.train(model.training).requires_grad_(wanted)


def intervenable(model: PreTrainedModel, layer: int, setting: Setting) -> Any:
    """pyvene's wrapper with an intervention at the output of a block; the model stays as trainable as it was."""
    teach_pyvene()
    training, wanted = model.training, next(model.parameters()).requires_grad
    site = pyvene.RepresentationConfig(layer, "block_output", "pos", setting.tokens)
    wrapper = pyvene.IntervenableModel(pyvene.IntervenableConfig([site], pyvene.VanillaIntervention), model)
    model.train(training).requires_grad_(wanted)
    return wrapper


def pyvene_outputs(wrapper: Any, batch: Batch, original: bool) -> tuple[Any, Any]:
    """What the model outputs on base, if asked for, and after the interchange; pyvene runs the source itself."""
    (positions,) = batch.positions.values()
    assert batch.source_rows is not None
    base = {name: batch.inputs[name] for name in ("input_ids", "attention_mask")}
    source = {name: tensor[batch.source_rows] for name, tensor in base.items()}
    locations = {"sources->base": ([positions.source.tolist()], [positions.base.tolist()])}
    return wrapper(base, [source], locations, output_original_output=original)


def pyvene_loss(teacher: Any, student: Any, batch: Batch) -> Tensor:
    """The plain step's terms and DIITO's."""
    with torch.no_grad():
        taught, taught_after = pyvene_outputs(teacher, batch, original=True)
    learnt, learnt_after = pyvene_outputs(student, batch, original=True)
    assert batch.labels is not None
    plain = plain_terms(taught, learnt, batch.inputs, batch.labels)
    return plain + WEIGHTS["diito"] * plain_kl(taught_after.logits, learnt_after.logits, batch.inputs)


def pyvene_sweep(teachers: Sequence[Any], students: Sequence[Any], batch: Batch) -> list[list[float]]:
    """Interchange accuracy of every teacher site with every student site, one by one."""
    with torch.no_grad():
        return [[_cell(teacher, student, batch) for student in students] for teacher in teachers]


def _cell(teacher: Any, student: Any, batch: Batch) -> float:
    found = [pyvene_outputs(each, batch, original=False)[1].logits.argmax(-1) for each in (teacher, student)]
    return float((found[0] == found[1]).double().mean())
