"""Objectives, one method per file: which forward passes to run, which loss to compute."""
