"""Figures and pages from results; imports causalkd, never the reverse."""
