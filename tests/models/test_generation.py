"""Continuing prompts: as each row alone, seeded, ended at the end token, mixed in proportion; nothing disturbed."""

from itertools import product

import pytest
import torch
from transformers import GenerationConfig

from causalkd.data.synthetic.stories import VOCABULARY, PlantedLM
from causalkd.models.generation import Mixture, Sampling, continue_prompts, left_padded
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.vocabularies import share_entries
from tests.architectures.zoo import tiny_of
from tests.tiny import VOCABULARY as TINY_VOCABULARY
from tests.tiny import tiny

FROM_PADDING = "roberta"  # counts positions from the one after that of padding
WITHOUT_ATTENTION = "mamba"  # keeps no keys and values
ARCHITECTURES = ("gpt2", "opt", "gpt_neox", "llama", "qwen2", FROM_PADDING)
END = VOCABULARY["[EOS]"]
PROMPTS = {
    "input_ids": torch.tensor([[0, 0, 2, 7, 8], [2, 9, 8, 11, 30], [0, 0, 0, 0, 2]]),
    "attention_mask": torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1], [0, 0, 0, 0, 1]]),
}


def model(architecture="gpt2", seed=0, dropout=0.0):
    assert len(VOCABULARY) <= TINY_VOCABULARY
    if architecture in (FROM_PADDING, WITHOUT_ATTENTION):
        stock = tiny_of(architecture, "causal_lm", seed=seed)
    else:
        stock = tiny(architecture, "causal_lm", seed=seed, layers=2, dropout=dropout)
    return HookedModel(stock, PlantedLM().tokenizer(), task="causal_lm", role="student")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_tokens_are_the_likeliest_of_each_row_alone(architecture):
    writer = model(architecture)
    found = continue_prompts(writer, PROMPTS, Sampling(6, temperature=0.0), seed=0)
    for row, (ids, mask) in enumerate(zip(*PROMPTS.values(), strict=True)):
        text = ids[mask.bool()][None]
        for token in found.inputs["input_ids"][row][found.new[row]].tolist():
            with torch.no_grad():
                assert token == int(writer.run({"input_ids": text}).logits[0, -1].argmax())
            text = torch.cat([text, torch.tensor([[token]])], 1)


def test_a_row_ends_at_its_end_token():
    writer = model()
    with torch.no_grad():  # so likely that rows end at different steps
        writer.model.get_output_embeddings().weight[END] *= 4
    found = continue_prompts(writer, PROMPTS, Sampling(30), seed=1)
    assert found.new[:, :5].sum() == 0 and found.new.any(1).all()
    for ids, new, mask in zip(found.inputs["input_ids"], found.new, found.inputs["attention_mask"], strict=True):
        written = ids[new].tolist()
        assert END not in written[:-1] and (written[-1] == END or len(written) == len(ids) - 5)
        assert torch.equal(mask[5:].bool(), new[5:])
    assert len(set(found.new.sum(1).tolist())) > 1


@pytest.mark.parametrize("given", ["checkpoint", "sampling"])
def test_a_row_ends_at_any_of_several_end_tokens(given):
    writer, plain = model(), model()
    free = continue_prompts(plain, PROMPTS, Sampling(8, 0.0), seed=0)
    wanted = [ids[new].tolist() for ids, new in zip(free.inputs["input_ids"], free.new, strict=True)]
    other = wanted[0][2]
    sampling = Sampling(8, 0.0, ends=(other,) if given == "sampling" else ())
    if given == "checkpoint":
        writer.model.generation_config = GenerationConfig(eos_token_id=[other, 5000], repetition_penalty=9.0)
    found = continue_prompts(writer, PROMPTS, sampling, seed=0)
    for ids, new, whole in zip(found.inputs["input_ids"], found.new, wanted, strict=True):
        stop = whole.index(other) + 1 if other in whole else len(whole)
        assert ids[new].tolist() == whole[:stop]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_padding_of_the_vocabulary_is_never_written(share):
    writer, other = model(), model(seed=1)
    other.model.resize_token_embeddings(TINY_VOCABULARY + 7)
    for each in (writer, other):
        with torch.no_grad():
            each.model.get_output_embeddings().weight[len(VOCABULARY) :] *= 50
    share_entries(writer, other)
    assert writer.entries == other.entries == len(VOCABULARY)
    for own, mixture in ((writer, Mixture(other, share)), (other, Mixture(writer, share)), (other, None)):
        found = continue_prompts(own, PROMPTS, Sampling(8), seed=0, mixture=mixture)
        assert int(found.inputs["input_ids"][found.new].max()) < len(VOCABULARY)


def test_drawing_is_seeded_and_leaves_everything_as_it_was():
    writer = model(dropout=0.5)
    writer.model.train()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, same, other = (continue_prompts(writer, PROMPTS, Sampling(8), seed).inputs for seed in (3, 3, 4))
    assert torch.equal(one["input_ids"], same["input_ids"]) and not torch.equal(one["input_ids"], other["input_ids"])
    assert torch.equal(torch.get_rng_state(), before)
    assert all(module.training for module in writer.model.modules())
    assert not any(parameter.grad is not None for parameter in writer.model.parameters())


@pytest.mark.parametrize(
    ("architecture", "temperature"),
    [*product(["gpt2", "opt", "gpt_neox", "llama", FROM_PADDING], [1.0, 0.7, 0.0]), (WITHOUT_ATTENTION, 1.0)],
)
def test_a_share_of_one_writes_what_the_other_model_would(architecture, temperature):
    writer, other, sampling = model(architecture), model(architecture, seed=1), Sampling(6, temperature)
    alone, of_other = (
        continue_prompts(each, PROMPTS, sampling, seed=2).inputs["input_ids"] for each in (writer, other)
    )
    none, whole = (
        continue_prompts(writer, PROMPTS, sampling, seed=2, mixture=Mixture(other, share)).inputs["input_ids"]
        for share in (0.0, 1.0)
    )
    assert torch.equal(none, alone) and torch.equal(whole, of_other) and not torch.equal(alone, of_other)


@pytest.mark.parametrize("temperature", [1.0, 0.0])
def test_a_mixture_draws_from_both_distributions(temperature):
    """One token of many equal prompts: its frequencies are those of the mixture, within four standard errors."""
    writer, other, rows = model(), model(seed=1), 4000
    prompts = {name: tensor[1:2].expand(rows, -1) for name, tensor in PROMPTS.items()}
    found = continue_prompts(writer, prompts, Sampling(1, temperature), seed=0, mixture=Mixture(other, 0.3))
    with torch.no_grad():
        logits = [each.model(PROMPTS["input_ids"][1:2]).logits[0, -1] for each in (writer, other)]
    own, mixed = (each.softmax(-1) if temperature else (each == each.max()).float() for each in logits)
    assert own.argmax() != mixed.argmax()
    expected = 0.3 * mixed + 0.7 * own
    frequencies = torch.bincount(found.inputs["input_ids"][:, -1], minlength=len(expected)) / rows
    assert ((frequencies - expected).abs() < 4 * (expected / rows).sqrt() + 1e-3).all()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_checkpoints_own_settings_do_not_count(temperature):
    plain, bent = model(), model()
    settings = GenerationConfig(top_p=0.01, repetition_penalty=5.0, min_length=30, num_beams=2, eos_token_id=[END])
    bent.model.generation_config = settings
    found = [continue_prompts(each, PROMPTS, Sampling(12, temperature), seed=3).inputs for each in (plain, bent)]
    assert torch.equal(found[0]["input_ids"], found[1]["input_ids"])
    assert bent.model.generation_config is settings
    with pytest.raises(RuntimeError), bent.model.get_input_embeddings().register_forward_hook(_fault):
        continue_prompts(bent, PROMPTS, Sampling(3, temperature), seed=3)
    assert bent.model.generation_config is settings


def _fault(*_):
    raise RuntimeError("a module that fails")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("mixed", [False, True])
def test_a_long_prompt_shortens_no_other_row(architecture, mixed):
    """Prompts of 3, 8 and 1 tokens, rows of 11 at most: each is continued as far as it has room, as it is alone."""
    writer, other = model(architecture), model(architecture, seed=1)
    mixture = Mixture(other, 1.0) if mixed else None
    long = torch.tensor([[0] * 5 + [2, 7, 8], [2, 9, 8, 11, 30, 7, 9, 8], [0] * 7 + [2]])
    prompts = {"input_ids": long, "attention_mask": (long > 0).long()}
    sampling = Sampling(9, 0.0, longest=11)
    found = continue_prompts(writer, prompts, sampling, seed=0, mixture=mixture)
    assert found.inputs["attention_mask"].sum(1).max() <= 11
    for row in range(3):
        alone = {name: tensor[row : row + 1] for name, tensor in prompts.items()}
        alone = left_padded(alone, alone["attention_mask"].sum(1), 0)
        expected = continue_prompts(writer, alone, sampling, seed=0, mixture=mixture)
        written = found.inputs["input_ids"][row][found.new[row]]
        assert torch.equal(written, expected.inputs["input_ids"][expected.new])
        assert len(written) == (8, 3, 9)[row] or written[-1] == END
        kept = found.inputs["attention_mask"][row].bool()
        text = torch.cat([alone["input_ids"][0], written])
        assert torch.equal(found.inputs["input_ids"][row][kept], text)


def test_every_model_that_writes_must_have_the_positions():
    short = model()
    config = short.model.config.__class__(**{**short.model.config.to_dict(), "n_positions": 9})
    other = HookedModel(type(short.model)(config).eval(), short.tokenizer, task="causal_lm", role="teacher")
    found = continue_prompts(model(), PROMPTS, Sampling(20), seed=0, mixture=Mixture(other, 0.5))
    assert found.inputs["attention_mask"].sum(1).max() <= 9


@pytest.mark.parametrize("side", ["left", "right"])
def test_prompts_are_the_first_tokens_of_each_row(side):
    ids, mask = torch.tensor([[5, 6, 7, 8], [9, 3, 4, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    if side == "left":
        ids[1], mask[1] = ids[1].roll(1), mask[1].roll(1)
    found = left_padded({"input_ids": ids, "attention_mask": mask}, torch.tensor([3, 1]), pad_id=0)
    assert found["input_ids"].tolist() == [[5, 6, 7], [0, 0, 9]]
    assert found["attention_mask"].tolist() == [[1, 1, 1], [0, 0, 1]]


def test_what_cannot_write_is_refused():
    masked = HookedModel(tiny("bert", "masked_lm"), PlantedLM().tokenizer(), task="masked_lm", role="student")
    with pytest.raises(ValueError, match="does not generate text: its task is masked_lm"):
        continue_prompts(masked, PROMPTS, Sampling(3), seed=0)
    silent = HookedModel(tiny("gpt2", "causal_lm"), task="causal_lm", role="student")
    with pytest.raises(ValueError, match="it has no tokenizer with an end token"):
        continue_prompts(silent, PROMPTS, Sampling(3), seed=0)
    long = {name: tensor.repeat(1, 8) for name, tensor in PROMPTS.items()}
    with pytest.raises(ValueError, match="prompts of 40 tokens leave no room in"):
        continue_prompts(model(), long, Sampling(3), seed=0)


def test_a_decoder_that_cannot_be_padded_on_the_left_writes_after_prompts_of_one_length():
    stock = tiny_of("bart", "causal_lm")
    writer = HookedModel(stock, PlantedLM().tokenizer(), task="causal_lm", role="student")
    with pytest.raises(ValueError, match="generate from prompts of one length"):
        continue_prompts(writer, PROMPTS, Sampling(4, 0.0), seed=0)
    whole = {name: tensor[1:2] for name, tensor in PROMPTS.items()}
    found = continue_prompts(writer, whole, Sampling(4, 0.0), seed=0)
    ids = found.inputs["input_ids"]
    with torch.no_grad():
        likeliest = stock(ids).logits.argmax(-1)
    assert torch.equal(ids[found.new], likeliest[:, :-1][found.new[:, 1:]])
