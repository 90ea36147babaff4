"""The result of a search for corresponding layers, as a table of text."""

from causalkd.reporting.tables import columns, number
from causalkd.verification.search.search import Proposal, Search


def search_table(found: Search) -> str:
    """The table, one line for each student layer.

    The column `search` is for whole layers, even if the other columns are for learned subspaces.
    """
    heads = ("student", "teacher", "as well", "CKA", "search", "held out", "95 %", "n", "best baseline", "supported")
    lines = [heads, *(_line(proposal) for proposal in found.proposals)]
    if any(proposal.subspace is not None for proposal in found.proposals):
        learned = [("directions", "arbitrary"), *(_learned(proposal) for proposal in found.proposals)]
        lines = [(*line, *more) for line, more in zip(lines, learned, strict=True)]
    return "\n".join(columns(lines))


def _line(proposal: Proposal) -> tuple[str, ...]:
    row = proposal.heldout
    others = ", ".join(str(layer) for layer in proposal.alike if layer != proposal.teacher_layer) or "–"
    best = max((c.iia_effective for c in proposal.baselines if c.iia_effective is not None), default=None)
    interval = "–" if row.iia_effective_low is None else f"{row.iia_effective_low:.3f}–{row.iia_effective_high:.3f}"
    shares = (f"{proposal.similarity:.3f}", f"{proposal.found:.3f}", number(row.iia_effective), interval)
    said = (str(row.effective_pairs), number(best), "yes" if proposal.supported else "no")
    return (str(proposal.student_layer), str(proposal.teacher_layer), others, *shares, *said)


def _learned(proposal: Proposal) -> tuple[str, str]:
    found = proposal.subspace
    return ("all", "–") if found is None else (str(found.basis.shape[1]), f"{found.arbitrary:.3f}")
