"""The names of the kinds of rows and of the metrics; a leaf module that a recipe can import quickly."""

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
"""The use of rows: one head's task each, and for a causal LM plain text, instructions or conversations."""
KINDS: tuple[Kind, ...] = get_args(Kind)
"""Every kind of rows, in the order of declaration."""
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
"""The metric of a task; `causalkd.verification.measures.metrics` computes them."""
LESS_IS_BETTER: tuple[Metric, ...] = ("perplexity",)
"""The metrics whose lower values are better."""
