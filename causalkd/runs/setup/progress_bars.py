"""A switch for the libraries' progress bars, which show the loading of weights and data: never in a log."""

from collections.abc import Iterator
from contextlib import contextmanager

from datasets import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from transformers.utils import logging

from causalkd.training.progress import is_watched


@contextmanager
def no_bars_in_logs() -> Iterator[None]:
    """Inside, transformers, huggingface_hub and datasets draw no bar unless standard error is a terminal or a notebook.

    Also decorates a function. Afterwards bars are drawn as before.
    """
    models, data = logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    if is_watched() or not (models or data):
        yield
        return
    logging.disable_progress_bar()
    disable_progress_bars()
    try:
        yield
    finally:
        if models:
            logging.enable_progress_bar()
        if data:
            enable_progress_bars()
