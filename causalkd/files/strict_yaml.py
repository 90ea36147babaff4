"""YAML as users write it: 1e-4 is a number, no key is written twice, and no text can take unbounded work to read.

A number is written in decimal digits: what PyYAML reads as one in another base, or with `_` in it, is refused.
"""

import re
from functools import lru_cache
from itertools import pairwise
from typing import Any

import yaml

MOST_CHARACTERS = 2**24
"""The largest number of characters in a text, and in its values when every alias is expanded."""
MOST_VALUES = 100_000
"""The largest number of keys and values in a text, with aliases expanded."""

_SHORT = 20_000
"""The largest number of characters of a text that is remembered; a recipe has fewer."""

_TEXT, _FLOAT = "tag:yaml.org,2002:str", "tag:yaml.org,2002:float"
_NO_VALUES = ("tag:yaml.org,2002:merge", "tag:yaml.org,2002:value")
"""The tags of the keys `<<` and `=`, which PyYAML reads only as keys."""
# PyYAML reads YAML 1.1, which knows 1.0e-4 but takes 1e-4 for text.
_SHORT_FLOAT = re.compile(r"^[-+]?(?:[0-9]+\.?|[0-9]*\.[0-9]+)[eE][-+]?[0-9]+$")
_SURROGATE = re.compile("[\ud800-\udfff]")
_INT = "tag:yaml.org,2002:int"
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")


class _ShortFloats(yaml.resolver.Resolver):
    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        tag = super().resolve(kind, value, implicit)
        short = kind is yaml.ScalarNode and tag == _TEXT and implicit[0] and _SHORT_FLOAT.match(value)
        return _FLOAT if short else tag


class _StrictLoader(_ShortFloats, yaml.SafeLoader):
    """Refuses a key that is written twice, where plain YAML silently keeps the last, and a text that is too large."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._values = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._values += 1
        _check_values(self._values)
        return super().compose_node(parent, index)

    def compose_document(self) -> yaml.Node | None:
        node = super().compose_document()
        if node is not None:
            _check_size(node)
        return node

    def construct_scalar(self, node: Any) -> Any:
        """The text of a node; JSON writes a character beyond U+FFFF as two escapes, which PyYAML leaves as two."""
        value = super().construct_scalar(node)
        if not (isinstance(value, str) and _SURROGATE.search(value)):
            return value
        joined = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        if _SURROGATE.search(joined):
            raise ValueError(f"{value!r} has one half of a character that is written as two")
        return joined

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except ValueError as error:  # a date that does not exist, a number of too many digits
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from None
        _check_decimal(node, value)
        return value

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """The node as it is written; later, `<<` has put keys into it that its own keys may replace."""
        node = super().compose_mapping_node(anchor)
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode):  # PyYAML refuses any other key itself
                key = key_node.value if key_node.tag in _NO_VALUES else self.construct_object(key_node, deep=True)
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key!r} is written twice", key_node.start_mark
                    )
                seen.add(key)
        return node


class _Dumper(_ShortFloats, yaml.SafeDumper):
    """Quotes text that the loader would read as a number."""


def load_text(text: str) -> Any:
    """Read the value of a YAML text; a short one that was read before is remembered.

    The value of an alias is copied, so that a change of one occurrence never changes another.

    Raises:
        ValueError: The text is not YAML, or too long, too deep, or endless; the message says where.
    """
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"the text has {len(text):,} characters, and at most {MOST_CHARACTERS:,} are read; shorten it")
    return _copied(_remembered(text) if len(text) < _SHORT else _read(text))


@lru_cache(maxsize=128)
def _remembered(text: str) -> Any:
    """The value of a text; a study reads the same recipes for each of its cells."""
    return _read(text)


def _read(text: str) -> Any:
    try:
        return yaml.load(text, _StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise ValueError(f"{line}{error.problem or error.context}; correct the YAML there") from None
    except yaml.YAMLError as error:  # a control character
        raise ValueError(f"{' '.join(str(error).split())}; leave that character out") from None
    except RecursionError:
        raise ValueError("its brackets or indents are nested too deeply to be read; write it flatter") from None


def _copied(value: Any) -> Any:
    """The value with each of its parts once; `copy.deepcopy` would keep parts in two places one object."""
    match value:
        case dict():
            return {key: _copied(each) for key, each in value.items()}
        case list():
            return [_copied(each) for each in value]
        case set():
            return set(value)
        case _:
            return value


def has_comment(text: str) -> bool:
    """Whether something of a YAML text is dropped as a comment: a `#` outside quotes, at its start or after a space."""
    marks = [(token.start_mark.index, token.end_mark.index) for token in yaml.scan(text, yaml.SafeLoader)]
    return any("#" in text[end:start] for (_, end), (start, _) in pairwise(marks))


def dump_text(value: Any, **options: Any) -> str:
    """Write a value as YAML text that `load_text` reads back, with the keys in their order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **options)


def _check_values(values: int) -> None:
    if values > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES:,} keys and values, aliases counted in full; shorten it")


def _check_decimal(node: yaml.Node, value: Any) -> None:
    """Refuses numbers that are other than they look (010 is 8, 1:30 is 90), or that look like text (2024_01, 0x1F)."""
    is_other = node.tag == _INT and not _DECIMAL.fullmatch(node.value)
    if is_other or (node.tag == _FLOAT and re.search("[_:]", node.value)):
        problem = f"{node.value} would be read as {value}; write numbers like 12 or 1.5, and put text in quotes"
        raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _check_size(root: yaml.Node) -> None:
    """Refuses a value that is too large when each alias is expanded."""
    values, characters = _size(root, {}, set())
    _check_values(values)
    if characters > MOST_CHARACTERS:
        raise ValueError(f"its values have {characters:,} characters, aliases counted in full; shorten it")


def _size(node: yaml.Node, sizes: dict[int, tuple[int, int]], above: set[int]) -> tuple[int, int]:
    """The numbers of values and characters in a node; each node is counted once and kept in `sizes`."""
    key = id(node)
    if key in above:
        raise ValueError("an alias is used inside the value that it names, which never ends; write the value out")
    if key not in sizes:
        above.add(key)
        inside = [_size(child, sizes, above) for child in _children(node)]
        above.remove(key)
        own = len(node.value) if isinstance(node, yaml.ScalarNode) else 0
        sizes[key] = 1 + sum(values for values, _ in inside), own + sum(length for _, length in inside)
    return sizes[key]


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [each for pair in node.value for each in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []
