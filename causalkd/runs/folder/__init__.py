"""The folder of a run on disk: its files, its lock, its manifest, and what a continued run depends on."""
