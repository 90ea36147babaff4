"""The table of a fine-tuning or of a pipeline, from the files in its folder."""

from pathlib import Path

from causalkd.reporting.finetuning import finetuning_lines
from causalkd.reporting.pipeline_table import pipeline_lines
from causalkd.verification.results.finetuning import FinetuneResults
from causalkd.verification.results.pipeline import PipelineResults


def stored_lines(folder: Path) -> list[str] | None:
    """The lines that were printed when a fine-tuning or a pipeline was done; None for another folder.

    Raises:
        ValueError: The stored file cannot be read.
    """
    if (folder / "finetune.json").is_file():
        return finetuning_lines(FinetuneResults.read(folder / "finetune.json"))
    if (folder / "pipeline.yaml").is_file() and (folder / "results.json").is_file():
        return pipeline_lines(PipelineResults.read(folder / "results.json"))
    return None
