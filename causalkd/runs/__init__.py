"""The commands: each turns a recipe or a run folder into files of a run folder."""
