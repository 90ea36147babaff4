"""Teaching modes as `causalkd attribute` measures them, with made-up numbers: for tables, figures and pages."""

from causalkd.verification.results.teaching import ModeAccuracy, ModeText, StudentModes, TeachingResults

TEXTS = (
    ModeText(("[BOS]", "ann", "dock", "."), (1, 2, 3), (0.75, 0.5, 0.0), (True, True, False)),
    ModeText(("[BOS]", "bob"), (), (), ()),
    ModeText(("[BOS]", "cid", "."), (1, 2), (0.25, 0.125), (False, False)),
)


def example_teaching(students: tuple[str, ...] = ("kd", "atkd"), seeds: int = 2) -> TeachingResults:
    """Three texts, one of them without a label; later students are closer, hard tokens have fewer effective pairs."""
    measured = []
    for rank, name in enumerate(students):
        for seed in range(seeds):
            easy = ModeAccuracy("facts", "easy", 0.9, 0.8 + 0.1 * rank, 40, 60)
            hard = ModeAccuracy("facts", "hard", 0.7, None if rank else 0.5, 0 if rank else 10, 60)
            measured.append(StudentModes(name, seed, 0.25 / (rank + 1), 0.5, 0.25, (easy, hard)))
    return TeachingResults(0.5, TEXTS, tuple(measured), students[-1:])
