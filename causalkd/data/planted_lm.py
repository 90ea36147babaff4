"""Planted language modelling: short stories whose causal model is written down here, to be continued token by token.

A story is four facts and a question: `[BOS] bob ran to attic . dan went to cave . ann went to dock . cid rode to farm .
where is ann ? dock [EOS]`. Everybody is mentioned once, in any order. The answer depends on one earlier mention:

    person_1 … person_4, asked          -> mention    which fact is about the person asked for
    place_1 … place_4, mention          -> located    where that fact says the person is: the answer

Some tokens are certain (the answer, the last person, the words in between), some are not (a place is one of many, the
person one of those left, the manner follows fixed shares), so a teacher is certain of some and uncertain of others.

The facts are those of bAbI's first task (Weston et al., 2015, "Towards AI-Complete Question Answering: A Set of
Prerequisite Toy Tasks", arXiv 1502.05698), one a person.
"""

from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from causalkd.data.batch import IGNORED

PERSONS = ("ann", "bob", "cid", "dan")
MANNERS = {"went": 0.6, "ran": 0.3, "rode": 0.1}
"""How a person got there, which nothing depends on, and the probability of each."""
PLACES = ("attic", "barn", "cave", "dock", "farm", "gym", "hall", "inn", "jail", "lake", "mill", "park")
FACTS = len(PERSONS)
INPUTS = (*(f"person_{n}" for n in range(1, FACTS + 1)), *(f"place_{n}" for n in range(1, FACTS + 1)), "asked")
"""The nine input variables; persons index `PERSONS`, places index `PLACES`."""
VARIABLES = (*INPUTS, "mention", "located")
"""Every variable of the causal model, causes before effects; `mention` counts facts from 0."""
GROUPS = {
    "facts": INPUTS[:-1],
    **{f"fact_{n}": (f"person_{n}", f"place_{n}") for n in range(1, FACTS + 1)},
    "question": ("asked",),
}
"""Names for several inputs together."""
SPECIAL_TOKENS = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "bos", "eos")}
TOKENS = (*SPECIAL_TOKENS.values(), *PERSONS, *MANNERS, "to", *PLACES, ".", "where", "is", "?")
VOCABULARY = {token: index for index, token in enumerate(TOKENS)}
_FACT = 5  # tokens of a fact: person manner to place .
_QUESTION = 1 + _FACT * FACTS
LENGTH = _QUESTION + 6
"""Tokens of a row: [BOS], the facts, `where is person ?`, the answer, [EOS]."""
SEGMENTS = (
    {"facts": (1, _QUESTION), "question": (_QUESTION, LENGTH - 2), "answer": (LENGTH - 2, LENGTH - 1)}
    | {f"fact_{n + 1}": (1 + _FACT * n, 1 + _FACT * (n + 1)) for n in range(FACTS)}
    | {f"person_{n + 1}": (1 + _FACT * n, 2 + _FACT * n) for n in range(FACTS)}
    | {f"place_{n + 1}": (4 + _FACT * n, 5 + _FACT * n) for n in range(FACTS)}
    | {"asked": (_QUESTION + 2, _QUESTION + 3)}
)
"""Named half-open ranges of token positions."""
HELDOUT_FRAMES = np.subtract.outer(np.arange(len(PERSONS)), np.arange(len(PLACES))) % 4 == 0
"""Which (person, place) are held out, shape (persons, places): a quarter, three places of each person."""


def solve(inputs: dict[str, np.ndarray], interventions: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Every variable of the causal model, with those in `interventions` held at the values given.

    inputs: the nine variables `INPUTS`, arrays of one shape. Where no fact is about the person asked for, which only
    an intervention can bring about, `mention` is the first fact.
    """
    held = interventions or {}
    values = inputs | held
    persons, places = (np.stack([values[f"{what}_{n}"] for n in range(1, FACTS + 1)]) for what in ("person", "place"))
    if "mention" not in held:
        values["mention"] = (persons == values["asked"]).argmax(0)
    if "located" not in held:
        values["located"] = np.take_along_axis(places, values["mention"][None], 0)[0]
    return values


@dataclass(frozen=True)
class PlantedLM:
    """The task; the same split, n and seed give the same examples."""

    def examples(self, split: str, n: int, seed: int) -> list[dict]:
        """`n` examples, each with `input_ids` and `label` (27, the first -100), `segments` and `text`.

        The frame of a fact is its (person, place). One frame in four is held out: a training example has none of them,
        a held-out example has them only. Examples may repeat within and between seeds.
        """
        if split not in ("train", "heldout"):
            raise ValueError(f"split {split!r} does not exist; the splits are 'train' and 'heldout'. Name one.")
        rng = np.random.default_rng((seed, split == "heldout"))
        allowed = HELDOUT_FRAMES if split == "heldout" else ~HELDOUT_FRAMES
        persons = rng.permuted(np.tile(np.arange(FACTS), (n, 1)), axis=1)
        # The r-th allowed place of a person; every person has equally many.
        of_person = np.nonzero(allowed)[1].reshape(len(PERSONS), -1)
        places = of_person[persons, rng.integers(0, of_person.shape[1], persons.shape)]
        manners = rng.choice(len(MANNERS), persons.shape, p=list(MANNERS.values()))
        ids = _token_ids(persons, manners, places, rng.integers(0, FACTS, n))
        tokens = np.array(TOKENS)[ids]
        return [
            {"input_ids": row, "label": [IGNORED, *row[1:]], "segments": dict(SEGMENTS), "text": " ".join(words[1:-1])}
            for row, words in zip(ids.tolist(), tokens.tolist(), strict=True)
        ]

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """A stock fast tokenizer, one token a word; encodes a story exactly as `examples` does."""
        backend = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        backend.post_processor = processors.TemplateProcessing(
            single="[BOS] $A [EOS]", special_tokens=[(token, VOCABULARY[token]) for token in ("[BOS]", "[EOS]")]
        )
        return PreTrainedTokenizerFast(
            tokenizer_object=backend,
            model_max_length=LENGTH,
            model_input_names=["input_ids", "attention_mask"],
            **SPECIAL_TOKENS,
        )

    def variables(self, example: dict) -> dict[str, int]:
        """Value of every variable: an index into `PERSONS` or `PLACES`, or the number of a fact from 0."""
        return {name: value.item() for name, value in solve(_inputs(example)).items()}

    def counterfactual_answer(self, base: dict, source: dict, variable: str) -> int:
        """Token id of the answer of `base` after `variable` takes the value it has in `source`.

        variable: one of `VARIABLES`, or one of `GROUPS` for all of its inputs.
        """
        values = solve(_inputs(source))
        names = GROUPS.get(variable, (variable,))
        if names[0] not in values:
            known = (*GROUPS, *VARIABLES)
            near = get_close_matches(variable, known, n=1, cutoff=0)[0]
            has = ", ".join(known)
            raise ValueError(f"variable {variable!r} is not in the causal model; it has {has}. Did you mean {near!r}?")
        located = solve(_inputs(base), {name: values[name] for name in names})["located"]
        return VOCABULARY[PLACES[0]] + located.item()


def _token_ids(persons: np.ndarray, manners: np.ndarray, places: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Token ids, shape (n, LENGTH); the first three have the shape (n, facts), and `asked` numbers a fact of each."""
    first = {
        kind: VOCABULARY[word] for kind, word in (("person", PERSONS[0]), ("manner", "went"), ("place", PLACES[0]))
    }
    rows = np.arange(len(persons))
    ids = np.empty((len(persons), LENGTH), dtype=int)
    ids[:] = [
        VOCABULARY[word] for word in ("[BOS] " + "ann went to attic . " * FACTS + "where is ann ? attic [EOS]").split()
    ]
    facts = ids[:, 1:_QUESTION].reshape(-1, FACTS, _FACT)
    facts[:, :, 0], facts[:, :, 1], facts[:, :, 3] = (
        first["person"] + persons,
        first["manner"] + manners,
        first["place"] + places,
    )
    ids[:, 1:_QUESTION] = facts.reshape(-1, FACTS * _FACT)
    ids[:, _QUESTION + 2] = first["person"] + persons[rows, asked]
    ids[:, LENGTH - 2] = first["place"] + places[rows, asked]
    return ids


def _inputs(example: dict) -> dict[str, np.ndarray]:
    """The input variables of an example, read off its tokens; arrays of shape (1,)."""
    ids = np.array(example["input_ids"])
    first = {name: VOCABULARY[(PLACES if name.startswith("place") else PERSONS)[0]] for name in INPUTS}
    return {name: ids[slice(*SEGMENTS[name])] - first[name] for name in INPUTS}
