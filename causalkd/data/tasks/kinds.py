"""The kinds of rows and the metrics by name; a leaf that a recipe can name without loading anything."""

from typing import Literal, get_args

Kind = Literal[
    "classification",
    "multi_label",
    "regression",
    "token_classification",
    "question_answering",
    "masked_lm",
    "causal_lm",
    "instructions",
    "chat",
]
"""What the rows are for: one head's task each, and for a causal LM plain text, instructions or conversations."""
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Every kind of rows, in the order they are declared."""
Metric = Literal[
    "accuracy",
    "matthews_correlation",
    "f1",
    "micro_f1",
    "macro_f1",
    "pearson",
    "spearman",
    "entity_f1",
    "answer_f1",
    "exact_match",
    "perplexity",
]
"""How a task is scored; what each name computes stands in `causalkd.verification.measures.task_metrics`."""
