"""Vocabularies: the entries that two models share if they pad them to different sizes, and entries without text."""

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.hooks.model_inputs import n_embeddings
from causalkd.task_types import LANGUAGE_MODELS, Task

_ROLES = ("bos", "eos", "sep", "cls", "pad", "mask")


def check_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str, task: Task) -> None:
    """Refuses a model that lacks the embedding of a token that its tokenizer puts into rows besides their text.

    Tokenizers often have further tokens that no text has, such as one for images.

    Raises:
        ValueError: A token has a number that no embedding has.
    """
    size, roles = n_embeddings(model), [role for role in _ROLES if role != "mask" or task == "masked_lm"]
    numbers = {role: getattr(tokenizer, f"{role}_token_id") for role in (*roles, "unk")}
    lacking = {role: each for role, each in numbers.items() if isinstance(each, int) and each >= size}
    if lacking:
        tokens = ", ".join(
            f"{getattr(tokenizer, f'{role}_token')!r} ({role}, {each})" for role, each in lacking.items()
        )
        raise ValueError(
            f"{name} has embeddings of {size} tokens, but its tokenizer has tokens beyond them: {tokens}; give the "
            f"stock model more, by resize_token_embeddings({max(lacking.values()) + 1}), and save it again, or let "
            "the tokenizer use a token that the model has, such as its end token for padding"
        )


def shared_entries(teacher: HookedModel, student: HookedModel) -> int | None:
    """The number of entries of the tokenizer of both models; None if they do not have the same one."""
    if teacher.tokenizer is None or student.tokenizer is None:
        return None
    own, other = teacher.tokenizer.get_vocab(), student.tokenizer.get_vocab()
    return max(own.values()) + 1 if own == other else None


def share_entries(teacher: HookedModel, *students: HookedModel) -> None:
    """Lets language models predict only the tokenizer's entries, if they pad these to different sizes.

    From then on, until a model is compared with others, no model's runs have logits of entries without a token; saved
    checkpoints are unchanged. If all pad them to one size, all entries have logits, whatever the teacher shared with an
    earlier student.
    """
    for model in (teacher, *students):
        model.entries = None
    if teacher.task not in LANGUAGE_MODELS:
        return
    shared = [(student, shared_entries(teacher, student)) for student in students]
    alike = [
        (student, entries)
        for student, entries in shared
        if entries is not None and entries <= min(teacher.vocabulary, student.vocabulary)
    ]
    if any(student.vocabulary != teacher.vocabulary for student, _ in alike):
        for student, entries in alike:
            teacher.entries = student.entries = entries


def entries_without_text(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The special tokens. The token for unknown words is one of the text, unless it is also used for something else."""
    other = [getattr(tokenizer, f"{role}_token_id") for role in _ROLES]
    return [entry for entry in tokenizer.all_special_ids if entry != tokenizer.unk_token_id or entry in other]
