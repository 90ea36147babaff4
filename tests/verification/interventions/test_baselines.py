import pytest
import torch

from causalkd.data.batch import Batch
from causalkd.data.positions import Positions
from causalkd.verification.interventions.baselines import (
    modal_matches,
    permuted_positions,
    permuted_rows,
    same_sources,
)
from causalkd.verification.results.baselines import BASELINES


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rows", [2, 3, 7, 16])
def test_every_row_gives_its_source_to_one_other_row(rows, seed):
    counts = torch.randint(0, 4, (rows,), generator=torch.Generator().manual_seed(seed))
    source_rows = permuted_rows(counts)
    assert sorted(source_rows.tolist()) == list(range(rows))
    assert not (source_rows == torch.arange(rows)).any()


def test_rows_of_equal_count_give_their_sources_to_each_other():
    counts = torch.tensor([3, 5, 3, 5, 5])
    assert counts[permuted_rows(counts)].equal(counts)


def test_a_count_that_only_one_row_has_goes_to_its_neighbour():
    counts = torch.tensor([9, 2, 2, 4, 4, 4])
    source_rows = permuted_rows(counts)
    assert set(counts[source_rows][[1, 2]].tolist()) == {2}
    assert int(counts[source_rows[0]]) == 4


def test_no_row_receives_its_own_source_or_base_from_another_row_where_there_is_a_choice():
    def inputs(*rows: int) -> dict[str, torch.Tensor]:
        ids = torch.tensor([[0, row, 9] for row in rows])
        return {"input_ids": ids, "attention_mask": torch.tensor([[0, 1, 1]] * len(rows))}

    wider = {name: torch.nn.functional.pad(each, (1, 0)) for name, each in inputs(1, 1, 3, 4, 5).items()}
    batch = Batch(inputs(1, 2, 4, 3, 3), index=torch.arange(5), source=wider)
    same = same_sources(batch)
    assert same.tolist()[0] == [True, True, False, False, False]  # its base is its source, and that of the second row
    assert [row.nonzero().flatten().tolist() for row in same] == [[0, 1], [0, 1], [2, 3], [2, 3], [2, 4]]
    counts = torch.full((5,), 2)
    rows = permuted_rows(counts, same)
    assert sorted(rows.tolist()) == list(range(5)) and not same[torch.arange(5), rows].any()
    assert same[torch.arange(5), permuted_rows(counts)].any()
    assert permuted_rows(counts, torch.eye(5, dtype=torch.bool)).equal(permuted_rows(counts))
    everything = torch.ones(5, 5, dtype=torch.bool)
    assert permuted_rows(counts, everything).equal(permuted_rows(counts)), "no choice"
    inside = Batch(inputs(1, 2, 3), index=torch.arange(3), source_rows=torch.tensor([1, 2, 0]))
    assert same_sources(inside).tolist() == [[True, False, True], [True, True, False], [False, True, True]]


def test_one_row_has_no_other():
    with pytest.raises(ValueError, match="at least 2 rows"):
        permuted_rows(torch.tensor([3]))


def test_the_k_th_position_gets_the_source_s_k_th_as_far_as_both_go():
    own = Positions(torch.tensor([[1, 2, 3]]), torch.tensor([[4, 5, 6]]), torch.tensor([[True, True, True]]))
    other = Positions(torch.tensor([[7, 0, 9]]), torch.tensor([[8, 0, 6]]), torch.tensor([[True, False, True]]))
    found = permuted_positions(own, other)
    assert found.base.tolist() == [[1, 2, 0]]
    assert found.source.tolist() == [[8, 6, 0]]
    assert found.valid.tolist() == [[True, True, False]]


def test_rows_of_different_width_are_cut_to_the_narrower():
    own = Positions(torch.tensor([[1, 2]]), torch.tensor([[4, 5]]), torch.ones(1, 2, dtype=torch.bool))
    other = Positions(torch.tensor([[7]]), torch.tensor([[8]]), torch.ones(1, 1, dtype=torch.bool))
    found = permuted_positions(own, other)
    assert (found.base.tolist(), found.source.tolist()) == ([[1]], [[8]])


def test_the_modal_guess_is_the_best_one_for_each_measure():
    choice = torch.tensor([0, 0, 0, 1, 1, 2])
    effective = torch.tensor([0.0, 0, 1, 1, 1, 0])
    whole, among = modal_matches(choice, effective)
    assert whole.tolist() == [1, 1, 1, 0, 0, 0]
    assert among.tolist() == [0, 0, 0, 1, 1, 0]
    assert modal_matches(choice, torch.zeros(6))[1].tolist() == [0] * 6


def test_none_is_not_among_the_baselines():
    assert tuple(BASELINES) == (
        *("no_intervention", "permuted_source", "majority_class", "untrained_student", "norm_matched_random"),
        *("wrong_layer", "shuffled_alignment", "ceiling"),
    )
