"""A teacher that computes exactly what a student does, in other axes and with blocks in between that do nothing."""

import copy

import torch
from transformers import PreTrainedModel

from causalkd.models.hooks.hooked_model import HookedModel
from tests.tiny import tiny

NOTHING = None


def llama_student(layers: int = 3, seed: int = 0) -> HookedModel:
    """A tiny Llama classifier whose norms have scales of their own."""
    model = tiny("llama", "classification", seed, layers)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "norm" in name:
                weight.copy_(0.5 + torch.rand(weight.shape, generator=generator))
    return HookedModel(model, task="classification", role="student")


def rotated_teacher(student: HookedModel, blocks: tuple[int | None, ...], seed: int = 1) -> HookedModel:
    """The student's blocks in this order, None being a block that adds nothing, with a rotated residual stream."""
    config = copy.deepcopy(student.model.config)
    config.num_hidden_layers = len(blocks)
    model = type(student.model)(config).eval()
    given = student.model.state_dict()
    taken = {name: tensor for name, tensor in given.items() if ".layers." not in name}
    with torch.no_grad():
        for index, block in enumerate(blocks):
            for name, tensor in student.blocks[block or 0].state_dict().items():
                nothing = block is NOTHING and name in ("self_attn.o_proj.weight", "mlp.down_proj.weight")
                taken[f"model.layers.{index}.{name}"] = torch.zeros_like(tensor) if nothing else tensor
        model.load_state_dict(taken)
        _fold_norms(model)
        generator = torch.Generator().manual_seed(seed)
        _rotate(model, torch.linalg.qr(torch.randn(config.hidden_size, config.hidden_size, generator=generator))[0])
    return HookedModel(model, task="classification", role="teacher")


def _readers(model: PreTrainedModel):
    """Each norm with the linear maps that read what it gives."""
    for block in model.model.layers:
        attention = block.self_attn
        yield block.input_layernorm, (attention.q_proj, attention.k_proj, attention.v_proj)
        yield block.post_attention_layernorm, (block.mlp.gate_proj, block.mlp.up_proj)
    yield model.model.norm, (model.score,)


def _fold_norms(model: PreTrainedModel) -> None:
    for norm, readers in _readers(model):
        for linear in readers:
            linear.weight.mul_(norm.weight)
        norm.weight.fill_(1)


def _rotate(model: PreTrainedModel, rotation: torch.Tensor) -> None:
    model.model.embed_tokens.weight.copy_(model.model.embed_tokens.weight @ rotation)
    for _, readers in _readers(model):
        for linear in readers:
            linear.weight.copy_(linear.weight @ rotation)
    for block in model.model.layers:
        for linear in (block.self_attn.o_proj, block.mlp.down_proj):
            linear.weight.copy_(rotation.T @ linear.weight)
