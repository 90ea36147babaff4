"""Sizes beyond every model are told before a model of them is built."""

from causalkd.models.config_bounds import MOST_ENTRIES, MOST_LAYERS, beyond_bounds


def test_every_size_beyond_the_bounds_is_told() -> None:
    config = {"num_hidden_layers": MOST_LAYERS + 1, "n_layer": MOST_LAYERS, "vocab_size": 10**18, "name": "x"}
    assert beyond_bounds(config, "config.") == [
        "`config.num_hidden_layers` is 1001, but at most 1,000 is supported; give a smaller number",
        f"`config.vocab_size` is {10**18}, but at most 10,000,000 is supported; give a smaller number",
    ]
    assert beyond_bounds({"vocab_size": MOST_ENTRIES, "num_hidden_layers": MOST_LAYERS}) == []
