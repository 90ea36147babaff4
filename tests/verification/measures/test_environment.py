from causalkd.verification.measures.environment import environment
from tests.held_out import teacher_and_student


def test_environment_says_what_the_numbers_were_computed_with():
    found = environment(teacher_and_student()[0], seed=5)
    assert found.versions["torch"].startswith("2.") and "transformers" in found.versions
    assert (found.dtype, found.device, found.seed) == ("float32", "cpu", 5)
    assert found.attention in ("sdpa", "eager") and found.threads >= 1
