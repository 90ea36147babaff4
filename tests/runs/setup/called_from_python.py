"""A program: distils and fine-tunes from Python: `python -m tests.runs.setup.called_from_python FOLDER`."""

import sys
from pathlib import Path

from causalkd import distill, finetune
from tests.runs.test_finetune import recipe
from tests.shrunk import RESUMED, shrunk

if __name__ == "__main__":
    distill(shrunk("quickstart", Path(sys.argv[1]), *RESUMED))
    finetune(recipe(Path(sys.argv[1]) / "tuned"))
