"""Tests; they mirror causalkd/ and analysis/."""
