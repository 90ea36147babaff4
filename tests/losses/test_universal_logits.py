"""The universal-logit distance against sums written out by hand."""

import pytest
import torch

from causalkd.losses.universal_logits import universal_logit_distance


def _slow(student: list[float], teacher: list[float], temperature: float) -> float:
    """Σ |p − q| of one prediction, entry by entry, of which the shorter list has zeros at the end."""
    sorted_lists = []
    for logits in (student, teacher):
        powers = [float(torch.tensor(each / temperature, dtype=torch.float64).exp()) for each in logits]
        sorted_lists.append(sorted((power / sum(powers) for power in powers), reverse=True))
    longest = max(map(len, sorted_lists))
    ours, theirs = ([*each, *[0.0] * (longest - len(each))] for each in sorted_lists)
    return sum(abs(p - q) for p, q in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(("entries", "others"), [(5, 5), (5, 8), (8, 5)])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_it_is_the_mean_of_the_sums(entries: int, others: int, temperature: float) -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(3, 2, n, generator=generator, dtype=torch.float64) for n in (entries, others))
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    expected = [
        _slow(student[row, place].tolist(), teacher[row, place].tolist(), temperature)
        for row, place in mask.nonzero().tolist()
    ]
    found = universal_logit_distance(student, teacher, mask, temperature)
    assert found.item() == pytest.approx(sum(expected) / len(expected), rel=1e-12)


def test_it_does_not_know_which_entry_is_which() -> None:
    logits = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert universal_logit_distance(logits, logits.roll(2, -1)).item() == pytest.approx(0, abs=1e-15)
    # An entry that has no probability changes nothing.
    more = torch.nn.functional.pad(logits, (0, 3), value=-torch.inf)
    assert universal_logit_distance(logits, more).item() == pytest.approx(0, abs=1e-15)


def test_its_gradient_is_that_of_differences() -> None:
    generator = torch.Generator().manual_seed(2)
    student, teacher = (torch.randn(3, n, generator=generator, dtype=torch.float64) for n in (5, 7))
    assert torch.autograd.gradcheck(lambda one: universal_logit_distance(one, teacher), student.requires_grad_())


def test_nothing_that_counts_is_a_distance_of_0() -> None:
    student = torch.randn(0, 5, requires_grad=True)
    distance = universal_logit_distance(student, torch.randn(0, 7))
    distance.backward()
    assert distance.item() == 0 and student.grad is not None


def test_a_temperature_that_is_none() -> None:
    with pytest.raises(ValueError, match="temperature"):
        universal_logit_distance(torch.ones(1, 2), torch.ones(1, 2), temperature=0.0)
