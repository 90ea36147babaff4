"""The kinds of task a model head can have; a leaf module, so that models and data can both name them."""

from typing import Literal, get_args

Task = Literal[
    "masked_lm",
    "causal_lm",
    "classification",
    "multi_label",
    "regression",
    "token_classification",
    "question_answering",
]
"""What the head predicts: tokens, one label a row, any of several labels a row, one number a row, one label a token, or
the two ends of a span."""

TASK_TYPES: tuple[Task, ...] = get_args(Task)
"""Every task kind, in the order they are declared."""
TOKEN_TASKS: tuple[Task, ...] = ("masked_lm", "causal_lm", "token_classification")
"""The kinds whose heads predict once per token; the others predict once per row."""
LANGUAGE_MODELS: tuple[Task, ...] = ("masked_lm", "causal_lm")
"""The kinds whose predictions are over the vocabulary."""
