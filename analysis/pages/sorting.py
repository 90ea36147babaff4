"""The script by which a reader sorts the tables of a page."""

from importlib import resources

from markupsafe import Markup


def sorting() -> Markup:
    """The script, to stand at the end of a page; where scripts do not run, the tables are plain tables."""
    return Markup(resources.files("analysis.pages").joinpath("templates/sort.js").read_text(encoding="utf-8"))
