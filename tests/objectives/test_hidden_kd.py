"""Hidden-state KD against the stock models' last hidden states; unequal widths need a projection."""

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM, OPTConfig

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.students import student_from_teacher
from causalkd.objectives.base import Requirements
from causalkd.objectives.hidden_kd import HiddenKD
from tests.objectives.steps import assert_same_term, batch_of, models, step_of


def _narrow(teacher: HookedModel) -> HookedModel:
    return student_from_teacher(teacher, every=2, width=16)


@pytest.mark.parametrize("distance", ["cosine", "squared"])
def test_the_stock_hidden_states_at_real_tokens(distance: str) -> None:
    (teacher, student), batch = models(), batch_of()
    s, t = (m.model(**batch.inputs, output_hidden_states=True).hidden_states[-1] for m in (student, teacher))
    s, t = s[batch.counted], t[batch.counted]
    cosine = 1 - nn.functional.cosine_similarity(s, t)
    expected = (cosine if distance == "cosine" else (s - t).square().sum(-1)).mean()
    objective = HiddenKD(teacher, student, distance)  # type: ignore[arg-type]
    assert objective.requirements() == Requirements(logits="none")
    assert list(objective.parameters()) == []
    assert_same_term(student, objective(step_of(objective, teacher, student, batch)), expected)


def test_unequal_widths_are_refused() -> None:
    teacher, _ = models()
    with pytest.raises(ValueError) as caught:
        HiddenKD(teacher, _narrow(teacher))
    message = str(caught.value)
    assert message.startswith("hidden_kd compares hidden states, and the teacher's are 32 wide, the student's 16; ")
    assert message.endswith(
        "needs equal widths or a learned projection. Use a student of equal width, or set hidden_kd's `projection` to "
        "learn one."
    )


def test_a_projection_from_its_seed() -> None:
    teacher, _ = models()
    student, batch, state = _narrow(teacher), batch_of(), torch.get_rng_state()
    objectives = [HiddenKD(teacher, student, projection=True, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), state)
    weights = [next(objective.parameters()) for objective in objectives]
    assert weights[0].shape == (32, 16) and weights[0].dtype == torch.float64
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])
    run = step_of(objectives[0], teacher, student, batch)
    objectives[0](run).backward()
    assert weights[0].grad is not None and weights[0].grad.abs().sum() > 0
    assert any(torch.any(p.grad != 0) for p in student.model.parameters() if p.grad is not None)
    t = teacher.run(batch.inputs).hidden[batch.counted]
    s = (run.student_run.hidden @ weights[0].T)[batch.counted]
    torch.testing.assert_close(objectives[0](run), (1 - nn.functional.cosine_similarity(s, t)).mean())


def _opt(projected: int, role: str) -> HookedModel:
    config = OPTConfig(
        vocab_size=97, hidden_size=32, word_embed_proj_dim=projected, num_attention_heads=4, ffn_dim=64,
        num_hidden_layers=2, max_position_embeddings=40, do_layer_norm_before=False, dropout=0.0,
    )  # fmt: skip
    stock = AutoModelForCausalLM.from_config(config)
    return HookedModel(stock, task="causal_lm", role=role)  # type: ignore[arg-type]


def test_last_hidden_states_may_be_narrower_than_the_blocks() -> None:
    """Those of OPT-350m are projected before the head."""
    teacher, student, batch = _opt(16, "teacher"), _opt(16, "student"), batch_of("causal_lm")
    for projection in (False, True):
        objective = HiddenKD(teacher, student, projection=projection)
        assert objective(step_of(objective, teacher, student, batch)).isfinite()
    with pytest.raises(ValueError, match="the teacher's are 16 wide, the student's 32"):
        HiddenKD(teacher, _opt(32, "student"))
    with torch.device("meta"):
        assert _opt(16, "teacher").hidden_width == 16  # of which only the configuration is known
