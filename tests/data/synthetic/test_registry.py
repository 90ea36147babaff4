"""What the entries of generated tasks say of their examples."""

from causalkd.data.synthetic.registry import PLANTED, PLANTED_LM


def test_the_value_of_a_variable_is_the_causal_models() -> None:
    assert PLANTED.causal_model is not None and PLANTED.value_of is not None
    base, source = PLANTED.generator().examples("heldout", 2, 0)
    for example in (base, source):
        assert PLANTED.value_of(example, "label") == example["label"]
    replaced = PLANTED.causal_model.counterfactuals([base], [source], "label").tolist()
    assert replaced == [PLANTED.value_of(source, "label")]
    assert set(PLANTED.single_variables) <= set(PLANTED.causal_model.variables)


def test_a_held_out_story_keeps_the_labels_of_its_answers() -> None:
    (story,) = PLANTED_LM.generator().examples("heldout", 1, 0)
    labelled = [place for place, label in enumerate(PLANTED_LM.of_heldout(story)["label"]) if label != -100]
    assert labelled == [story["segments"][f"answer_{number}"][0] for number in range(1, 5)]
    assert PLANTED.of_heldout(story) is story
