"""Notes of several shares are put together as one process would have made them."""

from dataclasses import dataclass, field

from causalkd.processes.merged import merged


@dataclass
class Notes:
    rows: list[int] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    by_name: dict[str, list[int]] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    nothing: None = None

    def note(self, number: int, name: str) -> None:
        self.rows.append(number)
        self.seen.add(name)
        self.by_name.setdefault(name, []).append(number)
        self.last[name] = number


def test_it_is_what_one_process_notes() -> None:
    pieces = [(0, "a"), (1, "b"), (2, "a"), (3, "c"), (4, "b"), (5, "b")]
    alone, shares = Notes(), (Notes(), Notes(), Notes())
    for position, piece in enumerate(pieces):
        alone.note(*piece)
        shares[2 * (position >= 3)].note(*piece)  # the second share is empty
    found = merged(shares)
    assert found == alone
    assert [*found.last] == [*alone.last] and [*found.by_name] == [*alone.by_name]


def test_tuples_have_a_place_for_each_kind() -> None:
    assert merged([([1], {"x"}), ([2, 3], {"y"})]) == ([1, 2, 3], {"x", "y"})
    assert merged([([1], None)]) == ([1], None)
