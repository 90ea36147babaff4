"""Padding on either side and packing change no prediction: every token sees what it would see alone."""

import sys

import pytest
import torch

from causalkd.data.batch import pad, pad_labels
from causalkd.losses.task import task_loss
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import complete_padding, forward_options, most_tokens, padding_id
from causalkd.models.self_test import self_test
from causalkd.models.students import student_from_teacher
from tests.architectures.zoo import tiny_of
from tests.tiny import PAD, VOCABULARY, tiny

FROM_PADDING = ("roberta", "xlm-roberta", "camembert", "roberta-prelayernorm", "data2vec-text")
DECODERS = ("gpt2", "opt", "gpt_neox", "llama", "qwen2")
LENGTHS = (7, 4, 9, 5)


def documents():
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randint(4, VOCABULARY, (length,), generator=generator).tolist() for length in LENGTHS]
    return [{"input_ids": row, "label": [-100, -100, *row[2:]]} for row in rows]


def packed():
    """The documents in two rows of two, the shorter row padded."""
    rows = documents()
    return [
        {
            "input_ids": first["input_ids"] + second["input_ids"],
            "label": first["label"] + second["label"],
            "documents": [1] * len(first["input_ids"]) + [2] * len(second["input_ids"]),
        }
        for first, second in (rows[:2], rows[2:])
    ]


def loss(model, examples, side="right"):
    """Sum of the loss of every labelled token, and their number."""
    inputs, labels = pad(examples, PAD, side), pad_labels(examples, side)
    count = int((labels[:, 1:] != -100).sum())
    return task_loss("causal_lm", model.run(inputs).logits, labels) * count, count


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("architecture", DECODERS)
def test_one_loss_per_token_however_rows_are_laid_out(architecture, attention):
    stock = tiny(architecture, "causal_lm")
    stock.set_attn_implementation(attention)
    model = HookedModel(stock, task="causal_lm", role="teacher")
    alone = [loss(model, [row]) for row in documents()]
    expected = sum(total for total, _ in alone) / sum(count for _, count in alone)
    for examples, side in ((documents(), "right"), (documents(), "left"), (packed(), "right"), (packed(), "left")):
        total, count = loss(model, examples, side)
        assert count == sum(each for _, each in alone)
        rounding = 8 * torch.finfo(torch.float32).eps * expected
        assert abs(total / count - expected) < rounding, (len(examples), side)


@pytest.mark.parametrize("architecture", DECODERS)
def test_gradients_do_not_cross_documents(architecture):
    model = HookedModel(tiny(architecture, "causal_lm"), task="causal_lm", role="student")
    embedding = model.hook_point("block_input", 0)
    run = model.run(pad(packed(), PAD), [embedding])
    (gradient,) = torch.autograd.grad(run.logits[0, LENGTHS[0] :].sum(), run.activations[embedding])
    assert torch.equal(gradient[0, : LENGTHS[0]], torch.zeros_like(gradient[0, : LENGTHS[0]]))
    assert gradient[0, LENGTHS[0]].abs().max() > 0


def test_rows_without_padding_are_what_stock_models_compute():
    stock = tiny("gpt2", "causal_lm")
    rows = pad(documents()[:1], PAD)
    with torch.no_grad():
        assert torch.equal(HookedModel(stock, task="causal_lm", role="teacher").run(rows).logits, stock(**rows).logits)


def test_what_cannot_be_packed_is_refused():
    rows = pad(packed(), PAD)
    with pytest.raises(ValueError, match="rows are packed, and bert reads a row as one text; turn packing off"):
        HookedModel(tiny("bert", "masked_lm"), task="masked_lm", role="teacher").run(rows)
    recurrent = HookedModel(tiny_of("qwen3_next", "causal_lm"), task="causal_lm", role="teacher")
    with pytest.raises(
        ValueError, match=r"qwen3_next has layers \(linear_attention\) in which a document would run on"
    ):
        recurrent.run(rows)
    flash = HookedModel(tiny("llama", "causal_lm"), task="causal_lm", role="teacher")
    flash.model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ValueError, match=r"flash_attention_2 attention cannot be kept inside.*attention='sdpa'"):
        flash.run(rows)
    bloom = HookedModel(tiny_of("bloom", "causal_lm"), task="causal_lm", role="teacher")
    with pytest.raises(ValueError, match="bloom takes no positions"):
        bloom.run(rows)
    expanding = HookedModel(tiny_of("openai-gpt", "causal_lm"), task="causal_lm", role="teacher")
    with pytest.raises(ValueError, match="openai-gpt takes one mask for all tokens of a row"):
        expanding.run(rows)


@pytest.mark.parametrize(
    ("model_type", "task"),
    [
        ("gpt2", "question_answering"),  # its forward takes no use_cache
        ("openai-gpt", "causal_lm"),
        ("gpt_neo", "question_answering"),
        ("roberta", "causal_lm"),  # counts positions from 2
        ("xlm-roberta", "causal_lm"),
        ("bloom", "causal_lm"),  # knows distances alone
    ],
)
def test_a_decoders_padding_on_the_left_changes_nothing_whatever_its_head(model_type, task):
    model = HookedModel(tiny_of(model_type, task), task=task, role="teacher")
    assert model.decodes
    rows = documents()
    padded = model.run(pad(rows, PAD, "left")).logits
    for number, row in enumerate(rows):
        alone = model.run(pad([row], PAD)).logits[0]
        torch.testing.assert_close(padded[number, -len(row["input_ids"]) :], alone, rtol=1e-4, atol=1e-4)


def test_a_packed_row_of_a_decoder_that_counts_from_padding():
    model = HookedModel(tiny_of("roberta", "causal_lm"), task="causal_lm", role="teacher")
    alone = [loss(model, [row])[0] for row in documents()]
    assert abs(loss(model, packed())[0] - sum(alone)) < 1e-3


@pytest.mark.parametrize(
    ("architecture", "size"),
    [("mistral", "sliding_window"), ("gemma2", "sliding_window"), ("llama4_text", "attention_chunk_size")],
)
def test_a_packed_row_is_no_longer_than_what_a_token_attends_to(architecture, size):
    model = HookedModel(tiny_of(architecture, "causal_lm"), task="causal_lm", role="teacher")
    config, longest = model.model.config, sum(LENGTHS[2:])
    setattr(config, size, longest)
    expected = sum(loss(model, [row])[0] for row in documents())
    torch.testing.assert_close(loss(model, packed())[0], expected)
    setattr(config, size, longest - 1)
    with pytest.raises(ValueError, match=rf"rows of {longest} tokens are packed, .* attends to at most {longest - 1},"):
        loss(model, packed())


def test_an_encoder_is_no_decoder():
    for model_type in ("roberta", "modernbert", "deberta-v2"):
        assert not HookedModel(tiny_of(model_type, "masked_lm"), task="masked_lm", role="teacher").decodes


@pytest.mark.parametrize("kind", ["bart", "recurrent_gemma"])
def test_a_decoder_that_cannot_be_padded_on_the_left_refuses_it(kind):
    """It counts positions from the edge of the row, or padding enters a convolution."""
    model = HookedModel(tiny_of(kind, "causal_lm"), task="causal_lm", role="student")
    right = pad(documents(), PAD, "right")
    alone = pad(documents()[1:2], PAD, "right")
    with torch.no_grad():
        torch.testing.assert_close(model.run(right).logits[1:2, : LENGTHS[1]], model.run(alone).logits)
        left = pad(documents(), PAD, "left")
        assert (model.model(**left).logits[1:2, -LENGTHS[1] :] - model.run(alone).logits).abs().max() > 0.01
        with pytest.raises(ValueError, match=f"padded on the left, which a {kind} decoder reads differently"):
            model.run(left)
        with pytest.raises(ValueError, match="padded on the left"):
            model.read(left, [model.hook_point("block_output", 0)])


@pytest.mark.parametrize(
    "architecture", ["bert", "roberta", "xlm-roberta", "camembert", "data2vec-text", "mpnet", "gpt2"]
)
def test_a_row_may_have_as_many_tokens_as_the_table_of_positions_has_entries_for_text(architecture):
    stock = tiny_of(architecture, "classification")
    longest = most_tokens(stock)
    assert stock(input_ids=torch.full((1, longest), 5)).logits.isfinite().all()
    with pytest.raises((IndexError, RuntimeError), match=r"out of|size"):
        stock(input_ids=torch.full((1, longest + 1), 5))


def test_a_row_is_unbounded_where_a_model_knows_only_distances():
    assert most_tokens(tiny_of("bloom", "causal_lm")) == sys.maxsize


@pytest.mark.parametrize("architecture", ["gpt2", "llama", "opt", "bloom", "qwen3_5", "roberta", "mpnet", "bert"])
def test_the_token_that_fills_up_a_row_is_no_matter(architecture):
    model = HookedModel(tiny_of(architecture, "classification"), task="classification", role="teacher")
    rows = [{"input_ids": row["input_ids"]} for row in documents()]
    alone = torch.cat([model.run(pad([row], PAD)).logits for row in rows])
    filled = pad(rows, VOCABULARY - 1)
    before = filled["input_ids"].clone()
    assert model.model.config.get_text_config().pad_token_id != VOCABULARY - 1
    torch.testing.assert_close(model.run(filled).logits, alone)
    hook_point = model.hook_points()[0]
    assert model.read(filled, [hook_point]).activations[hook_point].isfinite().all()
    assert torch.equal(filled["input_ids"], before)  # the caller's tensors are not changed


def test_a_head_that_would_look_for_a_padding_token_that_does_not_exist_is_refused():
    stock = tiny_of("llama", "classification")
    model = HookedModel(stock, task="classification", role="teacher")
    stock.config.pad_token_id = -1
    with pytest.raises(ValueError, match=r"pad_token_id of the configuration is -1, which is no token"):
        model.run(pad([{"input_ids": [5, 6]}, {"input_ids": [5, 6, 7]}], PAD))
    complete_padding(stock, PAD)
    assert padding_id(stock) == PAD
    model.run(pad([{"input_ids": [5, 6]}, {"input_ids": [5, 6, 7]}], PAD))


@pytest.mark.parametrize("architecture", ["bert", "llama"])
def test_without_a_mask_every_token_is_real(architecture: str) -> None:
    task = "masked_lm" if architecture == "bert" else "causal_lm"
    model = HookedModel(tiny(architecture, task), task=task, role="teacher")
    ids = torch.tensor([[5, 6, 7], [8, 9, 10]])
    run = model.run({"input_ids": ids})
    assert torch.equal(run.logits, model.run({"input_ids": ids, "attention_mask": torch.ones_like(ids)}).logits)
    assert model.read({"input_ids": ids}, [model.hook_point("block_output", 1)]).attention_mask.all()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"inputs_embeds": torch.zeros(1, 3, 4)}, "input_ids are missing; give token ids of shape"),
        ({"input_ids": torch.tensor([5, 6])}, r"input_ids are of shape \(2,\); give token ids of shape \(batch, pos\)"),
        ({"input_ids": torch.ones(0, 3, dtype=torch.long)}, r"of shape \(0, 3\); .* with at least one row"),
        (
            {"input_ids": torch.ones(1, 3, dtype=torch.long), "attention_mask": torch.ones(1, 2, dtype=torch.long)},
            r"attention_mask has shape \(1, 2\) and input_ids \(1, 3\); a mask has one number for each token",
        ),
    ],
)
def test_what_is_no_batch_of_tokens_is_refused(inputs: dict[str, torch.Tensor], message: str) -> None:
    model = HookedModel(tiny("bert", "masked_lm"), task="masked_lm", role="teacher")
    with pytest.raises(ValueError, match=message):
        model.run(inputs)
    with pytest.raises(ValueError, match=message):
        model.read(inputs, [model.hook_point("block_output", 1)])


def test_positions_that_are_given_are_used():
    stock = tiny("gpt2", "causal_lm")
    model = HookedModel(stock, task="causal_lm", role="teacher")
    inputs = {**pad([{"input_ids": [5, 6, 7]}], PAD), "position_ids": torch.tensor([[4, 0, 2]])}
    torch.testing.assert_close(model.run(inputs).logits, stock(**inputs).logits)
    assert not torch.allclose(model.run(inputs).logits, stock(inputs["input_ids"]).logits)


@pytest.mark.parametrize("architecture", ["gpt2", "roberta"])
def test_a_token_that_is_hidden_inside_a_row_keeps_its_place(architecture):
    model = HookedModel(tiny_of(architecture, "classification"), task="classification", role="teacher")
    inputs = pad([{"input_ids": row["input_ids"]} for row in documents()], PAD)
    inputs["attention_mask"][:, 1] = 0
    rest = {} if architecture == "roberta" else {"position_ids": torch.arange(9).expand(4, 9)}
    torch.testing.assert_close(model.run(inputs).logits, model.model(**inputs, **rest).logits)


@pytest.mark.parametrize(
    ("architecture", "asked"),
    [
        ("mixtral", {"output_router_logits": True}),
        ("gpt2", {"output_hidden_states": True, "output_attentions": True}),
        ("bert", {"return_dict": False}),
    ],
)
def test_outputs_that_a_configuration_asks_for_are_left_out(architecture, asked):
    """They cost memory, and some cannot be collected where a forward pass starts at a later block."""
    task = "classification" if architecture == "bert" else "causal_lm"
    stock, plain = tiny_of(architecture, task), tiny_of(architecture, task)
    for each in (stock, plain):
        each.set_attn_implementation("eager")
    for name, value in asked.items():
        setattr(stock.config, name, value)
    model = HookedModel(stock, task=task, role="teacher")
    self_test(model)
    inputs = pad([{"input_ids": [5, 6, 7]}], PAD)
    assert torch.equal(model.run(inputs).logits, HookedModel(plain, task=task, role="teacher").run(inputs).logits)
    student = student_from_teacher(model, layers=[2])
    assert {name: getattr(student.model.config, name) for name in asked} == asked
    assert forward_options(plain).keys() <= {"use_cache"}
