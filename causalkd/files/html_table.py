"""Small HTML of an object for a notebook; everything that is shown is escaped."""

from collections.abc import Sequence
from html import escape


def html_table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table with a caption; the first column is aligned left, the others right."""
    top = "".join(_cell("th", head, number) for number, head in enumerate(heads))
    body = "".join(f"<tr>{''.join(_cell('td', cell, number) for number, cell in enumerate(row))}</tr>" for row in rows)
    style = "caption-side: top; text-align: left; font-weight: bold; color: inherit"
    return (
        f'<table><caption style="{style}">{escape(caption)}</caption><thead><tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def coloured_tokens(tokens: Sequence[str], shares: Sequence[float]) -> str:
    """Tokens on a background that is stronger for larger shares: blue for positive ones, red for negative."""
    spans = []
    for token, share in zip(tokens, shares, strict=True):
        red, green, blue = (33, 102, 172) if share >= 0 else (178, 24, 43)
        strength = min(abs(share), 1.0) * 0.6
        spans.append(
            f'<span title="{share:+.3f}" style="background: rgba({red}, {green}, {blue}, {strength:.2f}); '
            f'padding: 0 .15em; border-radius: .2em">{escape(token)}</span>'
        )
    return f"<bdi>{' '.join(spans)}</bdi>"  # a text from right to left does not affect its surroundings


def _cell(tag: str, content: object, number: int) -> str:
    side = "left" if number == 0 else "right"
    return f'<{tag} style="text-align: {side}">{escape(str(content))}</{tag}>'
