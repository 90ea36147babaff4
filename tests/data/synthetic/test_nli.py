"""The planted task: its labels, its counterfactuals, its splits and its tokenizer."""

import itertools
from collections import Counter

import numpy as np
import pytest
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

from causalkd.data.synthetic.nli import (
    INPUTS,
    LEXICON,
    MODIFIERS,
    NOUN_PARENTS,
    SEGMENTS,
    VARIABLES,
    VERB_PARENTS,
    VOCABULARY,
    PlantedNLI,
    Relation,
)

TASK = PlantedNLI()
LABELS = dict(zip(TASK.label_names, range(3), strict=True))


def example(premise, hypothesis):
    """An example as `examples` makes it, from two sentences; its label is not needed."""
    words = f"[CLS] {premise} [SEP] {hypothesis} [SEP]".split()
    return {"input_ids": [VOCABULARY[word] for word in words], "text": (premise, hypothesis)}


class Oracle:
    """Labels by satisfiability over kinds of individual, without any relation between words.

    An individual's kind is its most specific noun and verb (or none) and its set of modifiers. A sentence is a
    statement about kinds: some kind is inhabited, or some kinds are not. A set of statements has a model if and only
    if each *inhabited* statement names a kind that no *uninhabited* statement forbids.
    """

    def __init__(self):
        kinds = itertools.product(
            (*NOUN_PARENTS, None), (*VERB_PARENTS, None), itertools.product((False, True), repeat=4)
        )
        self.kinds = [
            self.upward(noun, NOUN_PARENTS)
            | self.upward(verb, VERB_PARENTS)
            | {m for m, has in zip(MODIFIERS[1:], held, strict=True) if has}
            for noun, verb, held in kinds
        ]
        self.members = {word: np.array([word in kind for kind in self.kinds]) for word in VOCABULARY}
        self.members["-"] = np.ones(len(self.kinds), dtype=bool)

    @staticmethod
    def upward(word, parents):
        found = set()
        while word is not None:
            found.add(word)
            word = parents[word]
        return found

    def statements(self, sentence, negated=False):
        """(kinds one of which is inhabited, kinds none of which is), and the noun phrase's kinds."""
        quantifier, modifier, noun, verb = sentence.split()
        phrase = self.members[modifier] & self.members[noun]
        does, does_not = phrase & self.members[verb], phrase & ~self.members[verb]
        meaning = {"some": (does, None), "every": (None, does_not), "no": (None, does), "not-every": (does_not, None)}
        denial = {"some": "no", "every": "not-every", "no": "some", "not-every": "every"}
        return (*meaning[denial[quantifier] if negated else quantifier], phrase)

    def possible(self, *statements):
        inhabited = [s[0] for s in statements if s[0] is not None] + [s[2] for s in statements]
        forbidden = np.any([s[1] for s in statements if s[1] is not None] or [np.zeros(len(self.kinds), bool)], axis=0)
        return all((kinds & ~forbidden).any() for kinds in inhabited)

    def label(self, premise, hypothesis):
        premise = self.statements(premise)
        if not self.possible(premise, self.statements(hypothesis, negated=True)):
            return LABELS["entailment"]
        return LABELS["neutral" if self.possible(premise, self.statements(hypothesis)) else "contradiction"]


@pytest.fixture(scope="module")
def oracle():
    return Oracle()


@pytest.fixture(scope="module")
def train():
    return TASK.examples("train", 6000, seed=0)


@pytest.fixture(scope="module")
def heldout():
    return TASK.examples("heldout", 2000, seed=0)


@pytest.mark.parametrize(
    ("premise", "hypothesis", "label"),
    [
        ("every - dog sprints", "every old hound runs", "entailment"),
        ("every - dog jogs", "some - animal runs", "entailment"),
        ("every - dog runs", "not-every - hound walks", "entailment"),
        ("no - animal runs", "no old dog jogs", "entailment"),
        ("no - dog walks", "not-every - animal strolls", "entailment"),
        ("some old dog jogs", "some - dog runs", "entailment"),
        ("every - dog runs", "no - beagle runs", "contradiction"),
        ("every - dog runs", "some - hound walks", "contradiction"),
        ("some - hound strolls", "no - dog walks", "contradiction"),
        ("not-every - dog flies", "every - animal flies", "contradiction"),
        ("every - dog runs", "every - animal runs", "neutral"),
        ("every old dog runs", "no wild dog runs", "neutral"),
        ("every old animal runs", "no - dog runs", "neutral"),
        ("some - dog runs", "some - dog walks", "neutral"),
        ("no - dog jogs", "no - dog runs", "neutral"),
        ("no - dog walks", "every - dog runs", "neutral"),
    ],
)
def test_labels_of_sentences_a_person_can_judge(premise, hypothesis, label, oracle):
    assert TASK.variables(example(premise, hypothesis))["label"] == LABELS[label]
    assert oracle.label(premise, hypothesis) == LABELS[label]


@pytest.mark.parametrize("share", [{"neutral_share": 2.0}, {"modifier_share": -0.1}, {"neutral_share": float("nan")}])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(ValueError, match=r"it is a share of all, so give 0 to 1"):
        PlantedNLI(**share)


def test_labels_equal_the_satisfiability_oracle(oracle, train, heldout):
    for row in train[:500] + heldout[:500]:
        assert row["label"] == oracle.label(*row["text"]), row["text"]


def test_every_sentence_pair_has_the_oracles_label_whatever_its_class(oracle):
    """Uniform words, so that frames and classes the generator would not pair are covered too."""
    rng = np.random.default_rng(0)
    for _ in range(500):
        words = [LEXICON[name.split("_")[1]][rng.integers(len(LEXICON[name.split("_")[1]]))] for name in INPUTS]
        premise, hypothesis = " ".join(words[:4]), " ".join(words[4:])
        assert TASK.variables(example(premise, hypothesis))["label"] == oracle.label(premise, hypothesis)


def test_intermediate_variables_of_one_example():
    values = TASK.variables(example("every old dog runs", "no - animal jogs"))
    assert tuple(values) == VARIABLES
    assert values["noun_relation"] == Relation.SUBSET
    assert values["modifier_relation"] == Relation.SUBSET
    assert values["subject_relation"] == Relation.SUBSET
    assert values["verb_relation"] == Relation.SUPERSET
    assert values["predicate_relation"] == Relation.COVER
    assert LEXICON["quantifier"][values["premise_quantifier"]] == "every"


def test_same_seed_same_examples_and_another_seed_others():
    assert TASK.examples("train", 50, seed=3) == TASK.examples("train", 50, seed=3)
    assert TASK.examples("train", 50, seed=3) != TASK.examples("train", 50, seed=4)
    assert TASK.examples("train", 50, seed=3) != TASK.examples("heldout", 50, seed=3)


def test_no_frame_is_in_both_splits(train, heldout):
    def frames(rows):
        return {tuple(sentence.split()[2:]) for row in rows for sentence in row["text"]}

    assert not frames(train) & frames(heldout)
    assert len(frames(train)) == 64 and len(frames(heldout)) == 16
    for position in (0, 1):  # every noun and verb is trained on
        assert {f[position] for f in frames(heldout)} <= {f[position] for f in frames(train)}


@pytest.mark.parametrize("split", ["train", "heldout"])
@pytest.mark.parametrize(("neutral_share", "expected"), [(1 / 3, (667, 667, 666)), (0.5, (500, 500, 1000))])
def test_classes_have_their_shares(split, neutral_share, expected):
    rows = PlantedNLI(neutral_share=neutral_share).examples(split, 2000, seed=1)
    assert tuple(Counter(row["label"] for row in rows)[c] for c in range(3)) == expected
    assert len({row["label"] for row in rows[:30]}) == 3, "classes are not shuffled"


def test_one_sentence_alone_does_not_give_the_label(train):
    """Guessing from one sentence's quantifier and verb is right well below the 97 % asked of a model."""
    for words in ((0, 3), (4, 7)):
        by_words = {}
        for row in train:
            key = tuple(" ".join(row["text"]).split()[i] for i in words)
            by_words.setdefault(key, Counter())[row["label"]] += 1
        assert sum(max(c.values()) for c in by_words.values()) / len(train) < 0.7


def test_segments_point_at_their_words(heldout):
    tokens = list(VOCABULARY)
    for row in heldout[:50]:
        words = {
            name: " ".join(tokens[i] for i in row["input_ids"][slice(*span)]) for name, span in row["segments"].items()
        }
        assert (words["premise"], words["hypothesis"]) == row["text"]
        assert [words[name] for name in INPUTS] == " ".join(row["text"]).split()
        assert all(words[name] in LEXICON[name.split("_")[1]] for name in INPUTS)
    assert heldout[0]["segments"] == SEGMENTS and heldout[0]["segments"] is not heldout[1]["segments"]


def test_a_counterfactual_from_itself_is_the_label(heldout):
    for row in heldout[:20]:
        for variable in ("premise", "hypothesis", *VARIABLES):
            assert TASK.counterfactual_label(row, row, variable) == row["label"]


def test_replacing_a_sentence_is_the_label_of_the_mixed_pair(heldout, oracle):
    for base, source in zip(heldout[:60], heldout[60:120], strict=True):
        assert TASK.counterfactual_label(base, source, "premise") == oracle.label(source["text"][0], base["text"][1])
        assert TASK.counterfactual_label(base, source, "hypothesis") == oracle.label(base["text"][0], source["text"][1])
        assert TASK.counterfactual_label(base, source, "label") == source["label"]


def test_replacing_a_word_is_the_label_of_the_rewritten_pair(heldout, oracle):
    for base, source in zip(heldout[:20], heldout[20:40], strict=True):
        for position, name in enumerate(INPUTS):
            words = " ".join(base["text"]).split()
            words[position] = " ".join(source["text"]).split()[position]
            expected = oracle.label(" ".join(words[:4]), " ".join(words[4:]))
            assert TASK.counterfactual_label(base, source, name) == expected


def test_replacing_a_relation_acts_downstream_of_it_only():
    base = example("every - dog jogs", "every - hound runs")
    source = example("every - hound runs", "every - dog walks")
    assert TASK.counterfactual_label(base, source, "noun_relation") == LABELS["neutral"]
    assert TASK.counterfactual_label(base, source, "subject_relation") == LABELS["neutral"]
    assert TASK.counterfactual_label(base, source, "verb_relation") == LABELS["contradiction"]
    assert TASK.counterfactual_label(base, source, "modifier_relation") == LABELS["entailment"]


def test_an_unknown_variable_or_split_is_named_with_the_known_ones(heldout):
    with pytest.raises(ValueError, match=r"'premise_nuon'.*it has premise, .*Did you mean 'premise_noun'"):
        TASK.counterfactual_label(heldout[0], heldout[1], "premise_nuon")
    with pytest.raises(ValueError, match="'test' does not exist; the splits are 'train' and 'heldout'"):
        TASK.examples("test", 3, seed=0)


def test_tokenizer_encodes_as_the_generator_does(heldout):
    tokenizer = TASK.tokenizer()
    premises, hypotheses = zip(*(row["text"] for row in heldout), strict=True)
    encoded = tokenizer(list(premises), list(hypotheses))
    assert encoded["input_ids"] == [row["input_ids"] for row in heldout]
    assert encoded["token_type_ids"] == [row["token_type_ids"] for row in heldout]
    assert tokenizer.decode(heldout[0]["input_ids"], skip_special_tokens=True) == " ".join(heldout[0]["text"])
    assert tokenizer("every unicorn")["input_ids"][2] == tokenizer.unk_token_id
    assert (tokenizer.pad_token_id, tokenizer.mask_token) == (0, "[MASK]")
    assert len(tokenizer) == len(VOCABULARY)


def test_a_saved_folder_is_stock(tmp_path, heldout):
    """`AutoTokenizer` finds the same tokenizer beside a BERT checkpoint."""
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    TASK.tokenizer().save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    for row in heldout[:20]:
        encoded = loaded(*row["text"])
        assert (encoded["input_ids"], encoded["token_type_ids"]) == (row["input_ids"], row["token_type_ids"])
    assert loaded.vocab_size == len(VOCABULARY) and loaded.model_max_length == 11
