"""Names inside Markdown: what a reader sees is what was given, and nothing becomes markup."""

import pytest

from causalkd.reporting.markdown_text import code_block, isolated, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("diito − kd: +0.240 [+0.200, +0.290], p < 0.001", "diito − kd: +0.240 [+0.200, +0.290], p < 0.001"),
        ("block_output at layer_2", "block_output at layer_2"),
        ("[click](https://example.org)", "[click\\](https://example.org)"),
        ("![x](y)", "![x\\](y)"),
        ("<script>x</script>", "\\<script>x\\</script>"),
        ("a|b", "a\\|b"),
        ("a\nb\r\n# c", "a b # c"),
        ("# heading", "\\# heading"),
        ("1. item", "1\\. item"),
        ("1.5 nats", "1.5 nats"),
        ("- item", "\\- item"),
        ("-0.5", "-0.5"),
        ("**bold** `code` _it_ ~~no~~", "\\*\\*bold\\*\\* \\`code\\` \\_it\\_ \\~\\~no\\~\\~"),
        ("&lt;b&gt; & more", "\\&lt;b\\&gt; & more"),
        ("$$x$$", "\\$\\$x\\$\\$"),
        ("back\\slash", "back\\\\slash"),
    ],
)
def test_only_what_would_be_markup_is_escaped(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_a_fence_is_longer_than_any_inside() -> None:
    assert code_block("a: 1\n", "yaml") == "```yaml\na: 1\n```"
    assert code_block("```\n# out\n````") == "`````\n```\n# out\n````\n`````"


def test_only_a_name_from_right_to_left_is_isolated():
    assert isolated("kd") == "kd" and isolated("学生") == "学生"
    for name in ("طالب", "a\u202eb", "a\u2067b"):  # letters, and characters that turn the letters after them
        assert isolated(name) == f"\u2068{name}\u2069"
