"""Planted natural-language inference: sentence pairs whose causal model is written down here.

A sentence is *quantifier modifier noun verb*, for instance `every old dog strolls`; a hyphen stands for no modifier.
Nouns and verbs form taxonomies (a child is a subset of its parent, siblings exclude each other), modifiers are
independent of everything, every noun phrase has at least one member. The label says whether all models of the premise
are models of the hypothesis (entailment), none is (contradiction), or neither (neutral). It is computed by natural logic:

    premise_noun, hypothesis_noun          -> noun_relation          which set contains which, or do they exclude each other
    premise_modifier, hypothesis_modifier  -> modifier_relation
    noun_relation, modifier_relation       -> subject_relation       relation of the two noun phrases
    premise_verb, hypothesis_verb          -> verb_relation
    verb_relation, both quantifiers        -> predicate_relation     after `no` and `not-every` have complemented the verb
    subject_relation, predicate_relation, both quantifiers -> label

A simplification (one quantifier, no negation, a taxonomy) of the multiply-quantified fragment of Geiger et al., 2019,
"Posing Fair Generalization Tasks for Natural Language Inference", arXiv 1810.13033; the relations and how negation
projects them are MacCartney and Manning, 2009, "An extended model of natural logic".
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast


class Relation(IntEnum):
    """How the premise's set relates to the hypothesis' set."""

    EQUAL = 0
    SUBSET = 1
    SUPERSET = 2
    DISJOINT = 3
    """No common member."""
    COVER = 4
    """Together everything; arises only by complementing."""
    COMPLEMENT = 5
    """Both of the last two."""
    INDEPENDENT = 6


QUANTIFIERS = ("some", "every", "no", "not-every")
NO_MODIFIER = "-"
MODIFIERS = (NO_MODIFIER, "old", "happy", "wild", "small")
NOUN_PARENTS = {
    "creature": None,
    "animal": "creature",
    "mammal": "animal",
    "carnivore": "mammal",
    "canine": "carnivore",
    "dog": "canine",
    "hound": "dog",
    "beagle": "hound",
}
"""Each noun and the noun whose set it is a subset of."""
VERB_PARENTS = {
    "moves": None,
    "walks": "moves",
    "strolls": "walks",
    "ambles": "strolls",
    "marches": "walks",
    "runs": "moves",
    "sprints": "runs",
    "jogs": "runs",
    "flies": "moves",
    "glides": "flies",
}
"""Each verb and the verb whose set it is a subset of."""

SLOTS = ("quantifier", "modifier", "noun", "verb")
LEXICON = {"quantifier": QUANTIFIERS, "modifier": MODIFIERS, "noun": tuple(NOUN_PARENTS), "verb": tuple(VERB_PARENTS)}
INPUTS = tuple(f"{sentence}_{slot}" for sentence in ("premise", "hypothesis") for slot in SLOTS)
"""The eight input variables, in the order of the words."""
VARIABLES = (*INPUTS, "noun_relation", "modifier_relation", "subject_relation", "verb_relation", "predicate_relation", "label")
"""Every variable of the causal model, causes before effects."""
SPECIAL_TOKENS = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
SEGMENTS = {"premise": (1, 5), "hypothesis": (6, 10)} | {
    name: (position, position + 1) for name, position in zip(INPUTS, (1, 2, 3, 4, 6, 7, 8, 9), strict=True)
}
"""Named half-open ranges of token positions in `[CLS] premise [SEP] hypothesis [SEP]`."""

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
    """Relation of two noun phrases, each the intersection of a noun and a modifier."""
    joined = np.where((modifier == Relation.EQUAL) | (modifier == noun), noun, Relation.INDEPENDENT)
    joined = np.where(noun == Relation.EQUAL, modifier, joined)
    return np.where(noun == Relation.DISJOINT, Relation.DISJOINT, joined)


_E, _SUB, _SUP, _DIS, _COV, _COM, _IND = Relation
_PROJECTED = np.array(
    [
        [[_E, _SUB, _SUP, _DIS, _COV, _COM, _IND], [_COM, _DIS, _COV, _SUB, _SUP, _E, _IND]],
        [[_COM, _COV, _DIS, _SUP, _SUB, _E, _IND], [_E, _SUP, _SUB, _COV, _DIS, _COM, _IND]],
    ]
)
"""`[premise complemented, hypothesis complemented, relation]`: relation of the verbs once complemented."""


def _label(premise_quantifier, hypothesis_quantifier, subject, predicate):
    """Label from the four variables that determine it; `no` is *every ... not*, `not-every` is *some ... not*."""
    premise_universal = np.isin(premise_quantifier, (1, 2))
    hypothesis_universal = np.isin(hypothesis_quantifier, (1, 2))
    contained = np.isin(subject, (_E, _SUB))
    contains = np.isin(subject, (_E, _SUP))
    # Where one noun phrase contains the other, the smaller one's members (it has some) carry a universal over to an existential.
    share = contained | contains
    entails = np.where(premise_universal, np.where(hypothesis_universal, contains, share), ~hypothesis_universal & contained)
    excludes = np.where(hypothesis_universal, np.where(premise_universal, share, contained), premise_universal & contains)
    entails &= np.isin(predicate, (_E, _SUB))
    excludes &= np.isin(predicate, (_DIS, _COM))
    return np.where(entails, ENTAILMENT, np.where(excludes, CONTRADICTION, NEUTRAL))


_NOUN_RELATIONS = _taxonomy_relations(NOUN_PARENTS)
_VERB_RELATIONS = _taxonomy_relations(VERB_PARENTS)
_EQUATIONS = {
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


def solve(inputs, interventions=None):
    """Every variable of the causal model, arrays of one shape, with `interventions` held at the values given.

    inputs: the eight input variables, each an index into its part of `LEXICON`.
    """
    held = interventions or {}
    values = inputs | held
    for name, (causes, mechanism) in _EQUATIONS.items():
        if name not in held:
            values[name] = mechanism(*(values[cause] for cause in causes))
    return values


@dataclass(frozen=True)
class PlantedNLI:
    """Settings of the task; the same settings, split, n and seed give the same examples."""

    neutral_share: float = 1 / 3
    """Share of examples labelled neutral; the other two classes divide the rest evenly."""
    modifier_share: float = 0.4
    """Probability that a noun carries a modifier, before classes are balanced."""
    frame_fold: int = 0
    """Which fifth of the (noun, verb) frames is held out, 0 to 4: both sentences of a held-out example have a held-out frame,
    both sentences of a training example do not."""

    @property
    def label_names(self):
        return ("entailment", "contradiction", "neutral")

    def words(self, split, n, seed):
        """(n, 8) word indices."""
        rng = np.random.default_rng((seed, ("train", "heldout").index(split)))
        frames = np.array([(i, j) for i in range(len(NOUN_PARENTS)) for j in range(len(VERB_PARENTS)) if ((i + 2*j) % 5 == self.frame_fold) == (split == "heldout")])
        shares = np.array([(1 - self.neutral_share) / 2] * 2 + [self.neutral_share])
        quota = np.floor(np.arange(1,4)*0 + shares * n + 0.5).astype(int); quota[2] = n - quota[:2].sum()
        kept = [[], [], []]
        while any(sum(map(len, kept[c])) < quota[c] for c in range(3)):
            m = 4 * n + 64
            cols = []
            for _ in range(2):
                q = rng.integers(0, 4, m)
                a = rng.integers(1, len(MODIFIERS), m) * (rng.random(m) < self.modifier_share)
                f = frames[rng.integers(0, len(frames), m)]
                cols += [q, a, f[:, 0], f[:, 1]]
            w = np.stack(cols, 1)
            y = solve(dict(zip(INPUTS, w.T)))["label"]
            for c in range(3):
                kept[c].append(w[y == c])
        w = np.concatenate([np.concatenate(kept[c])[: quota[c]] for c in range(3)])
        return w[rng.permutation(n)]
