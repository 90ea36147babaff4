"""Every gold entity of WNUT-17 is rebuilt from what the examples label."""

import pytest
from seqeval.metrics.sequence_labeling import get_entities

from causalkd.data.tasks.loading import load_examples
from causalkd.models.checkpoints import load_tokenizer

ENTITIES = {"train": 1975, "validation": 836, "test": 1079}
CUT = {"test": 2}
"""Entities behind the 128th token of a sentence."""


@pytest.mark.seconds
@pytest.mark.needs_data
@pytest.mark.needs_weights
@pytest.mark.parametrize("split", ENTITIES)
def test_every_entity_is_rebuilt_from_the_labels_of_tokens(data_folder, split: str) -> None:
    loaded = load_examples("wnut17", split, load_tokenizer("minilm-l6"), None, 128, 512)
    known = rebuilt = 0
    for example in loaded.examples:
        labels = [label for label in example["label"] if label != -100]
        seen = dict(zip(example["words"], labels, strict=True))
        gold = {*get_entities([loaded.labels[tag] for tag in example["tags"]])}
        found = get_entities([loaded.labels[seen.get(word, 0)] for word in range(len(example["tags"]))])
        known, rebuilt = known + len(gold), rebuilt + len(gold & {*found})
    assert (known, known - rebuilt) == (ENTITIES[split], CUT.get(split, 0))
