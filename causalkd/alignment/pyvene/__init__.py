"""The conversion of alignments to and from pyvene."""
