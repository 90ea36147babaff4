"""Planted natural-language inference: sentence pairs whose causal model is written down here.

A sentence is *quantifier modifier noun verb*, for instance `every old dog strolls`; a hyphen means no modifier.
Nouns form a chain of subsets, verbs a taxonomy (a child is a subset of its parent, siblings exclude each other),
modifiers are independent of everything, and a sentence presupposes that its noun phrase has members. The label says
whether all models of the premise are models of the hypothesis (entailment), none is (contradiction), or neither:

    premise_noun, hypothesis_noun         -> noun_relation       which set contains which
    premise_modifier, hypothesis_modifier -> modifier_relation
    noun_relation, modifier_relation      -> subject_relation    relation of the two noun phrases
    premise_verb, hypothesis_verb         -> verb_relation
    verb_relation, both quantifiers       -> predicate_relation  `no` and `not-every` complement the verb
    subject_relation, predicate_relation, both quantifiers -> label

A simplification (one quantifier, no negation, a taxonomy) of the multiply-quantified fragment of Geiger et al., 2019,
"Posing Fair Generalization Tasks for Natural Language Inference", arXiv 1911.00811; the relations, and how negation
projects them, are those of MacCartney and Manning, 2009, "An extended model of natural logic".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast


class Relation(IntEnum):
    """The relation of the premise's set to the hypothesis' set."""

    EQUAL = 0
    SUBSET = 1
    SUPERSET = 2
    DISJOINT = 3
    """The two sets have no common member."""
    COVER = 4
    """The two sets together hold everything."""
    COMPLEMENT = 5
    """The two sets are disjoint and together hold everything."""
    INDEPENDENT = 6


QUANTIFIERS = ("some", "every", "no", "not-every")
MODIFIERS = ("-", "old", "happy", "wild", "small")
NOUNS = ("creature", "animal", "mammal", "carnivore", "canine", "dog", "hound", "beagle")
NOUN_PARENTS = dict(zip(NOUNS, (None, *NOUNS), strict=False))
"""Each noun and the noun whose set it is a subset of."""
VERB_PARENTS = {"moves": None, "walks": "moves", "strolls": "walks", "ambles": "strolls", "marches": "walks"}
VERB_PARENTS |= {"runs": "moves", "sprints": "runs", "jogs": "runs", "flies": "moves", "glides": "flies"}
"""Each verb and the verb whose set it is a subset of."""

SENTENCES = ("premise", "hypothesis")
SLOTS = ("quantifier", "modifier", "noun", "verb")
LEXICON = {"quantifier": QUANTIFIERS, "modifier": MODIFIERS, "noun": tuple(NOUN_PARENTS), "verb": tuple(VERB_PARENTS)}
INPUTS = tuple(f"{sentence}_{slot}" for sentence in SENTENCES for slot in SLOTS)
"""The eight input variables, in the order of the words."""
RELATIONS = tuple(f"{part}_relation" for part in ("noun", "modifier", "subject", "verb", "predicate"))
VARIABLES = (*INPUTS, *RELATIONS, "label")
"""Every variable of the causal model, causes before effects."""
SPECIAL_TOKENS = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
TOKENS = (*SPECIAL_TOKENS.values(), *(word for slot in SLOTS for word in LEXICON[slot]))
VOCABULARY = {token: index for index, token in enumerate(TOKENS)}
WORD_POSITIONS = np.array([1, 2, 3, 4, 6, 7, 8, 9])
"""The positions of the words in `[CLS] premise [SEP] hypothesis [SEP]`, 11 tokens."""
FIRST_IDS = np.array([VOCABULARY[LEXICON[slot][0]] for slot in SLOTS * 2])
"""Token id of the first word of each input variable's part of the lexicon."""
SEGMENTS = {"premise": (1, 5), "hypothesis": (6, 10)} | {
    name: (position, position + 1) for name, position in zip(INPUTS, WORD_POSITIONS.tolist(), strict=True)
}
"""Named half-open ranges of token positions."""
HELDOUT_FRAMES = np.add.outer(np.arange(len(NOUN_PARENTS)), 2 * np.arange(len(VERB_PARENTS))) % 5 == 0
"""The mask of frames that are held out, shape (nouns, verbs); every noun and every verb has frames on both sides."""

ENTAILMENT, CONTRADICTION, NEUTRAL = range(3)


def _taxonomy_relations(parents):
    """`table[p, h]`: relation of word p to word h of one taxonomy; shape (words, words)."""
    ancestors: dict[str, set[str]] = {}
    for word, parent in parents.items():
        ancestors[word] = {word} | (ancestors[parent] if parent else set())

    def relation(p, h):
        if p == h:
            return Relation.EQUAL
        if h in ancestors[p]:
            return Relation.SUBSET
        return Relation.SUPERSET if p in ancestors[h] else Relation.DISJOINT

    return np.array([[relation(p, h) for h in parents] for p in parents])


def _modifier_relation(p, h):
    """Relation of two modifiers, each 0 for none: fewer modifiers mean a larger set."""
    one_sided = np.where(h == 0, Relation.SUBSET, np.where(p == 0, Relation.SUPERSET, Relation.INDEPENDENT))
    return np.where(p == h, Relation.EQUAL, one_sided)


def _subject_relation(noun, modifier):
    """Relation of two noun phrases, each the intersection of a noun and a modifier; nouns are never disjoint."""
    joined = np.where((modifier == Relation.EQUAL) | (modifier == noun), noun, Relation.INDEPENDENT)
    return np.where(noun == Relation.EQUAL, modifier, joined)


_E, _SUB, _SUP, _DIS, _COV, _COM, _IND = Relation
_AS_THEY_ARE, _FIRST = [_E, _SUB, _SUP, _DIS, _COV, _COM, _IND], [_COM, _COV, _DIS, _SUP, _SUB, _E, _IND]
_SECOND, _BOTH = [_COM, _DIS, _COV, _SUB, _SUP, _E, _IND], [_E, _SUP, _SUB, _COV, _DIS, _COM, _IND]
_PROJECTED = np.array([[_AS_THEY_ARE, _SECOND], [_FIRST, _BOTH]])
"""`[premise complemented, hypothesis complemented, relation]`: relation of the verbs once complemented."""


def _label(premise_quantifier, hypothesis_quantifier, subject, predicate):
    """Label from the four variables that determine it; `no` is *every ... not*, `not-every` is *some ... not*."""
    universal_p, universal_h = (np.isin(q, (1, 2)) for q in (premise_quantifier, hypothesis_quantifier))
    contained, contains = np.isin(subject, (_E, _SUB)), np.isin(subject, (_E, _SUP))
    # The smaller of two nested noun phrases has members, so a universal implies an existential.
    nested = contained | contains
    entails = np.where(universal_p, np.where(universal_h, contains, nested), ~universal_h & contained)
    excludes = np.where(universal_h, np.where(universal_p, nested, contained), universal_p & contains)
    entails &= np.isin(predicate, (_E, _SUB))
    excludes &= np.isin(predicate, (_DIS, _COM))
    return np.where(entails, ENTAILMENT, np.where(excludes, CONTRADICTION, NEUTRAL))


_NOUN_RELATIONS, _VERB_RELATIONS = _taxonomy_relations(NOUN_PARENTS), _taxonomy_relations(VERB_PARENTS)
EQUATIONS = {
    "noun_relation": (("premise_noun", "hypothesis_noun"), lambda p, h: _NOUN_RELATIONS[p, h]),
    "modifier_relation": (("premise_modifier", "hypothesis_modifier"), _modifier_relation),
    "subject_relation": (("noun_relation", "modifier_relation"), _subject_relation),
    "verb_relation": (("premise_verb", "hypothesis_verb"), lambda p, h: _VERB_RELATIONS[p, h]),
    "predicate_relation": (
        ("premise_quantifier", "hypothesis_quantifier", "verb_relation"),
        lambda p, h, verb: _PROJECTED[(p >= 2).astype(int), (h >= 2).astype(int), verb],
    ),
    "label": (("premise_quantifier", "hypothesis_quantifier", "subject_relation", "predicate_relation"), _label),
}
"""The causal model: each variable's causes and its mechanism over integer arrays, causes before effects."""


def solve(inputs: dict[str, np.ndarray], interventions: dict[str, np.ndarray] | None = None) -> dict[str, np.ndarray]:
    """Every variable of the causal model, with those in `interventions` held at the values given.

    inputs: the eight variables `INPUTS`, arrays of one shape, each an index into its part of `LEXICON`.
    """
    held = interventions or {}
    values = inputs | held
    for name, (causes, mechanism) in EQUATIONS.items():
        if name not in held:
            values[name] = mechanism(*(values[cause] for cause in causes))
    return values


@dataclass(frozen=True)
class PlantedNLI:
    """Draws planted inferences for classifiers; the same settings, split, n and seed give the same examples.

    Raises ValueError for a share that is not between 0 and 1.
    """

    neutral_share: float = 1 / 3
    """Share of examples labelled neutral, 0 to 1; the other two classes divide the rest evenly."""
    modifier_share: float = 0.4
    """Probability that a noun carries a modifier, before classes are balanced, 0 to 1."""

    def __post_init__(self) -> None:
        for name in ("neutral_share", "modifier_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it is a share of all, so give 0 to 1")

    @property
    def label_names(self) -> tuple[str, str, str]:
        """Class names in the order of the label indices."""
        return ("entailment", "contradiction", "neutral")

    def examples(self, split: str, n: int, seed: int) -> list[dict]:
        """`n` examples, each with `input_ids` (11), `token_type_ids` (11), `label`, `segments` and `text`.

        The frame of a sentence is its (noun, verb). One frame in five is held out: a training example has no held-out
        frame, a held-out example has one in both of its sentences. Examples may repeat within and between seeds.
        """
        if split not in ("train", "heldout"):
            raise ValueError(f"split {split!r} does not exist; the splits are 'train' and 'heldout'. Name one.")
        words, labels = self._words(split, n, np.random.default_rng((seed, split == "heldout")))
        ids = np.full((n, 11), VOCABULARY["[SEP]"])
        ids[:, 0] = VOCABULARY["[CLS]"]
        ids[:, WORD_POSITIONS] = words + FIRST_IDS
        tokens = np.array(list(VOCABULARY))[ids]
        return [
            {
                "input_ids": row,
                "token_type_ids": [0] * 6 + [1] * 5,
                "label": label,
                "segments": dict(SEGMENTS),
                "text": (" ".join(text[1:5]), " ".join(text[6:10])),
            }
            for row, label, text in zip(ids.tolist(), labels.tolist(), tokens.tolist(), strict=True)
        ]

    def _words(self, split: str, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Word indices, shape (n, 8), and labels, shape (n,), drawn until every class has its share, and shuffled."""
        nouns, verbs = np.nonzero(HELDOUT_FRAMES if split == "heldout" else ~HELDOUT_FRAMES)
        rest = round(n * (1 - self.neutral_share) / 2)
        wanted = (rest, rest, n - 2 * rest)
        kept = np.empty((0, 8), dtype=int)
        labels = np.empty(0, dtype=int)
        while any((labels == c).sum() < count for c, count in enumerate(wanted)):
            draws = (4 * n + 64, 2)
            frame = rng.integers(0, len(nouns), draws)
            modifier = rng.integers(1, len(MODIFIERS), draws) * (rng.random(draws) < self.modifier_share)
            slots = np.stack([rng.integers(0, len(QUANTIFIERS), draws), modifier, nouns[frame], verbs[frame]], axis=-1)
            kept = np.concatenate([kept, slots.reshape(-1, 8)])
            labels = solve(dict(zip(INPUTS, kept.T, strict=True)))["label"]
        chosen = np.concatenate([np.flatnonzero(labels == c)[:count] for c, count in enumerate(wanted)])
        chosen = rng.permutation(chosen)
        return kept[chosen], labels[chosen]

    def tokenizer(self) -> PreTrainedTokenizerFast:
        """A stock fast tokenizer, one token a word; encodes a pair exactly as `examples` does."""
        backend = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
        backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
        backend.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]",
            pair="[CLS] $A [SEP] $B:1 [SEP]:1",
            special_tokens=[(token, VOCABULARY[token]) for token in ("[CLS]", "[SEP]")],
        )
        return PreTrainedTokenizerFast(
            tokenizer_object=backend,
            model_max_length=11,
            model_input_names=["input_ids", "token_type_ids", "attention_mask"],
            **SPECIAL_TOKENS,
        )

    def variables(self, example: dict) -> dict[str, int]:
        """Value of every variable: an index into `LEXICON` for words, a `Relation`, and the label's index."""
        values = solve(_inputs([example]))
        return {k: Relation(v.item()) if k.endswith("_relation") else v.item() for k, v in values.items()}

    def counterfactual_label(self, base: dict, source: dict, variable: str) -> int:
        """Label of `base` after `variable` takes the value it has in `source`.

        variable: one of `VARIABLES`, or `premise` or `hypothesis` for all four words of a sentence.
        """
        return self.many_counterfactual_labels([base], [source], variable).item()

    def many_counterfactual_labels(self, bases: Sequence[dict], sources: Sequence[dict], variable: str) -> np.ndarray:
        """The same for many pairs, shape (pairs,)."""
        values, known = solve(_inputs(sources)), (*SENTENCES, *VARIABLES)
        replaced = [name for name in INPUTS if name.startswith(f"{variable}_")] if variable in SENTENCES else [variable]
        if replaced[0] not in values:
            near = get_close_matches(variable, known, n=1, cutoff=0)[0]
            has = ", ".join(known)
            raise ValueError(f"variable {variable!r} is not in the causal model; it has {has}. Did you mean {near!r}?")
        return solve(_inputs(bases), {name: values[name] for name in replaced})["label"]


def _inputs(examples: Sequence[dict]) -> dict[str, np.ndarray]:
    """The eight input variables read off the examples' tokens, each of shape (examples,)."""
    words = np.array([example["input_ids"] for example in examples])[:, WORD_POSITIONS] - FIRST_IDS
    return dict(zip(INPUTS, words.T, strict=True))
