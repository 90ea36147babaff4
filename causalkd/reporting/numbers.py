"""How numbers are written in tables and sentences; a dash stands for a number that is not defined."""


def number(value: float | None) -> str:
    """Three decimals; zero has no sign, also where a value was rounded to it."""
    return "–" if value is None else f"{value:z.3f}"


def signed(value: float | None) -> str:
    """A difference with its sign and three decimals; of zero it is +."""
    return "–" if value is None else f"{value:+z.3f}"


def probability(value: float | None) -> str:
    """A p-value or q-value: three decimals, or `< 0.001`, since none is zero."""
    return "–" if value is None else "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(value: float | None) -> str:
    """A share in percent with one decimal."""
    return "–" if value is None else f"{100 * value:.1f}%"
