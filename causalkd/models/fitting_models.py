"""Whether a teacher and a student fit each other: role, task, vocabulary, tokenizer and labels."""

from causalkd.models.head_labels import LABELLED, label_names
from causalkd.models.hooks.hooked_model import HookedModel
from causalkd.models.vocabularies import shared_entries

OTHER_TOKENIZERS = (
    ". Only predictions over labels can be compared whatever the tokens are: a recipe of classification, multi_label, "
    "regression or token_classification lets each model read its own tokens, and in Python `read_twice` makes such "
    "examples. Predictions over tokens need tokens that both models share, and so does an intervention in such models; "
    "only `causalkd.objectives.uld.ULD`, in Python, takes language models of different tokenizers"
)
"""The advice for models with different tokenizers, as the end of a refusal."""


def check_order(teacher: HookedModel, student: HookedModel) -> None:
    """Refuses a teacher and a student that are reversed, whose numbers would be reported under the wrong name.

    Raises:
        ValueError: The teacher was loaded as a student, and the student as a teacher.
    """
    if (teacher.role, student.role) == ("student", "teacher"):
        raise ValueError(f"{student!r} is given as the student and {teacher!r} as the teacher; give the teacher first")


def check_pair(teacher: HookedModel, student: HookedModel, *, same_tokens: bool = True) -> None:
    """Refuses a teacher and a student whose outputs cannot be compared.

    Vocabularies of one tokenizer may be padded to different sizes: see `share_entries`.

    Args:
        teacher: The frozen model.
        student: The model being trained.
        same_tokens: Whether both must read the same tokens, as for interventions and for comparing predictions.

    Raises:
        ValueError: Task, vocabulary, tokenizer or labels differ, or their roles are reversed; lists every difference.
    """
    check_order(teacher, student)
    faults = []
    if teacher.task != student.task:
        faults.append(f"the teacher's task is {teacher.task}, the student's {student.task}; load both for one task")
    faults += _token_faults(teacher, student) if same_tokens else []
    if not same_tokens and (teacher.role, student.role) != ("teacher", "student"):
        faults.append(
            f"a model reads the tokens of its role, and the teacher was loaded as a {teacher.role}, the student as a "
            f"{student.role}; load each with its own `role`"
        )
    if teacher.task in LABELLED and label_names(teacher) != label_names(student):
        faults.append(
            f"the teacher's labels are {list(label_names(teacher))}, the student's {list(label_names(student))}; "
            "load both with the same labels in the same order"
        )
    if faults:
        raise ValueError("teacher and student do not fit:\n" + "\n".join(f"- {fault}" for fault in faults))


def _token_faults(teacher: HookedModel, student: HookedModel) -> list[str]:
    entries = shared_entries(teacher, student)
    sizes = f"the teacher's vocabulary has {teacher.vocabulary} entries, the student's {student.vocabulary}"
    if entries is not None and min(teacher.vocabulary, student.vocabulary) < entries:
        return [
            f"{sizes}, and the tokenizer of both {entries}, some of which a model lacks; give it more, by "
            f"resize_token_embeddings({entries}), or use a model that was trained with this tokenizer"
        ]
    if entries is None and teacher.vocabulary != student.vocabulary:
        return [
            f"{sizes}: one token id means different words; use a student with the teacher's tokenizer, or cut it with "
            f"student_from_teacher{OTHER_TOKENIZERS}"
        ]
    if entries is None and teacher.tokenizer is not None and student.tokenizer is not None:
        return [
            "the tokenizers give different ids to the same tokens; use the teacher's tokenizer for both"
            + OTHER_TOKENIZERS
        ]
    return []
