"""What each command does: a recipe or a run folder becomes files of a run folder. Their options are in `cli.py`."""
