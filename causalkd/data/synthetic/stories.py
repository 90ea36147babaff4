"""Planted language modelling: short stories whose causal model is written down here, to be continued token by token.

A story is four facts and four questions: `[BOS] now bob attic . soon dan cave . now ann dock . late cid farm . where
ann dock . where … … . [EOS]`. Everybody is mentioned and asked for once, in any order. Each answer depends on one
earlier mention; for n in 1 … 4:

    person_1 … person_4, asked_n        -> mention_n    which fact is about the person asked for
    place_1 … place_4, mention_n        -> located_n    where that fact says the person is: the n-th answer

Some tokens are certain (the answers, the last person, the words in between), some are not (a place is one of many, a
person one of those left, the time follows fixed shares), so a teacher is certain of some and uncertain of others.

The questions are those of bAbI's first task (Weston et al., 2015, "Towards AI-Complete Question Answering: A Set of
Prerequisite Toy Tasks", arXiv 1502.05698), in fewer words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from causalkd.data.batch import IGNORED

PERSONS = ("ann", "bob", "cid", "dan")
TIMES = {"now": 0.6, "soon": 0.3, "late": 0.1}
"""The times, on which nothing depends, and the probability of each."""
PLACES = ("attic", "barn", "cave", "dock", "farm", "gym", "hall", "inn", "jail", "lake", "mill", "park")
NUMBERS = range(1, len(PERSONS) + 1)
"""The numbers of facts and of questions."""
PERSON, PLACE, ASKED, MENTION, LOCATED = (
    tuple(f"{kind}_{n}" for n in NUMBERS) for kind in ("person", "place", "asked", "mention", "located")
)
INPUTS = (*PERSON, *PLACE, *ASKED)
"""The twelve input variables; persons, also those asked for, index `PERSONS`, places index `PLACES`."""
VARIABLES = (*INPUTS, *MENTION, *LOCATED)
"""Every variable of the causal model, causes before effects; a mention is the number of a fact less 1."""
GROUPS = {"facts": (*PERSON, *PLACE), "persons": PERSON, "places": PLACE, "questions": ASKED} | {
    f"fact_{n}": (f"person_{n}", f"place_{n}") for n in NUMBERS
}
"""Names for several inputs together."""
SPECIAL_TOKENS = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "bos", "eos")}
TOKENS = (*SPECIAL_TOKENS.values(), *PERSONS, *TIMES, *PLACES, ".", "where")
VOCABULARY = {token: index for index, token in enumerate(TOKENS)}
_STORY = ("[BOS]", *("now ann attic .".split() * 4), *("where ann attic .".split() * 4), "[EOS]")
_SENTENCE = 4  # tokens of `time person place .` and of `where person answer .`
_QUESTIONS = 1 + _SENTENCE * len(PERSONS)
LENGTH = len(_STORY)
"""Tokens of a row, 34."""
PLACE_OF = (
    {f"person_{n}": 2 + _SENTENCE * (n - 1) for n in NUMBERS}
    | {f"place_{n}": 3 + _SENTENCE * (n - 1) for n in NUMBERS}
    | {f"asked_{n}": _QUESTIONS + 1 + _SENTENCE * (n - 1) for n in NUMBERS}
    | {f"answer_{n}": _QUESTIONS + 2 + _SENTENCE * (n - 1) for n in NUMBERS}
)
"""Position of each variable's token."""
SEGMENTS = (
    {"facts": (1, _QUESTIONS), "questions": (_QUESTIONS, LENGTH - 1)}
    | {f"fact_{n}": (1 + _SENTENCE * (n - 1), 1 + _SENTENCE * n) for n in NUMBERS}
    | {name: (position, position + 1) for name, position in PLACE_OF.items()}
)
"""Named half-open ranges of token positions."""
HELDOUT = 4
"""A story is held out if the indices of its four places add up to a multiple of this: a quarter of all stories."""


def solve(inputs: dict[str, np.ndarray], interventions: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Every variable of the causal model, with those in `interventions` held at the values given.

    inputs: the variables `INPUTS`, arrays of one shape. If no fact is about the person asked for, which only an
    intervention can bring about, the mention is the first fact.
    """
    held = interventions or {}
    values = inputs | held
    persons, places = (np.stack([values[name] for name in names]) for names in (PERSON, PLACE))
    for asked, mention, located in zip(ASKED, MENTION, LOCATED, strict=True):
        if mention not in held:
            values[mention] = (persons == values[asked]).argmax(0)
        if located not in held:
            values[located] = np.take_along_axis(places, values[mention][None], 0)[0]
    return values


@dataclass(frozen=True)
class PlantedLM:
    """Draws planted stories for causal LMs; the same split, n and seed give the same examples."""

    def examples(self, split: str, n: int, seed: int) -> list[dict]:
        """`n` examples, each with `input_ids` and `label` (34, the first -100), `segments`, `text` and its `bytes`.

        A quarter of all stories is held out (`HELDOUT`): training examples have none of them, held-out examples only
        these. Within a split all stories are equally likely, but for the times. Examples may repeat within and between
        seeds.
        """
        if split not in ("train", "heldout"):
            raise ValueError(f"split {split!r} does not exist; the splits are 'train' and 'heldout'. Name one.")
        rng = np.random.default_rng((seed, split == "heldout"))
        everybody = np.tile(np.arange(len(PERSONS)), (n, 1))
        persons, asked = rng.permuted(everybody, axis=1), rng.permuted(everybody, axis=1)
        places = rng.integers(0, len(PLACES), persons.shape)
        # The last place makes the sum a multiple, or not.
        rest = np.zeros(n, dtype=int) if split == "heldout" else rng.integers(1, HELDOUT, n)
        places[:, -1] += (rest - places.sum(1)) % HELDOUT
        places[:, -1] %= len(PLACES)
        ids = _token_ids(persons, places, asked, rng.choice(len(TIMES), persons.shape, p=list(TIMES.values())))
        tokens = np.array(TOKENS)[ids]
        rows = [(row, " ".join(words[1:-1])) for row, words in zip(ids.tolist(), tokens.tolist(), strict=True)]
        examples = [{"input_ids": row, "label": [IGNORED, *row[1:]], "segments": dict(SEGMENTS)} for row, _ in rows]
        return [example | {"text": text, "bytes": len(text)} for example, (_, text) in zip(examples, rows, strict=True)]

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
        """Value of every variable: an index into `PERSONS` or `PLACES`, or the number of a fact less 1."""
        return {name: value.item() for name, value in solve(_inputs([example])).items()}

    def counterfactual_answers(self, base: dict, source: dict, variable: str) -> list[int]:
        """Token ids of the four answers of `base` after `variable` takes the value it has in `source`.

        variable: one of `VARIABLES`, or one of `GROUPS` for all of its inputs.
        """
        return self.many_counterfactual_answers([base], [source], variable)[0].tolist()

    def many_counterfactual_answers(self, bases: Sequence[dict], sources: Sequence[dict], variable: str) -> np.ndarray:
        """The same for many pairs, shape (pairs, 4)."""
        values = solve(_inputs(sources))
        names = GROUPS.get(variable, (variable,))
        if names[0] not in values:
            known = (*GROUPS, *VARIABLES)
            near = get_close_matches(variable, known, n=1, cutoff=0)[0]
            has = ", ".join(known)
            raise ValueError(f"variable {variable!r} is not in the causal model; it has {has}. Did you mean {near!r}?")
        solved = solve(_inputs(bases), {name: values[name] for name in names})
        return _FIRST["place"] + np.stack([solved[name] for name in LOCATED], axis=1)


_FIRST = {"person": VOCABULARY[PERSONS[0]], "place": VOCABULARY[PLACES[0]], "asked": VOCABULARY[PERSONS[0]]}
"""Token id of the first word that a kind of input can be."""


def _token_ids(persons: np.ndarray, places: np.ndarray, asked: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Token ids, shape (n, LENGTH); each input has the shape (n, facts or questions)."""
    ids = np.tile([VOCABULARY[word] for word in _STORY], (len(persons), 1))
    values = dict(zip(INPUTS, np.concatenate([persons, places, asked], axis=1).T, strict=True))
    for name, value in values.items():
        ids[:, PLACE_OF[name]] = _FIRST[name.split("_")[0]] + value
    ids[:, [PLACE_OF[name] - 1 for name in PERSON]] = VOCABULARY["now"] + times
    solved = solve(values)
    for n in NUMBERS:
        ids[:, PLACE_OF[f"answer_{n}"]] = _FIRST["place"] + solved[f"located_{n}"]
    return ids


def _inputs(examples: Sequence[dict]) -> dict[str, np.ndarray]:
    """The input variables of some examples, read off their tokens; arrays of shape (examples,)."""
    ids = np.array([example["input_ids"] for example in examples])
    return {name: ids[:, PLACE_OF[name]] - _FIRST[name.split("_")[0]] for name in INPUTS}
