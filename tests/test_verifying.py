from causalkd.recipe import Recipe
from causalkd.verifying import references


def _names(name):
    return references(Recipe.load(name).students)


def test_whoever_exchanges_activations_is_compared_with_everyone_who_does_not():
    assert _names("sst2-minilm") == {"kd": (), "kd-steps": ("kd",), "diito": ("kd", "kd-steps")}
    assert _names("quickstart-lm") == {"kd": (), "atkd": ("kd",), "diito": ("kd", "atkd")}
    assert _names("quickstart") == {"kd": (), "diito": ("kd",)}
