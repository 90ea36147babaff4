"""A program: pyvene, which takes seconds to import, is imported only when an alignment becomes pyvene's own."""

import sys

import causalkd.alignment.resolve
import causalkd.alignment.spec

assert "pyvene" not in sys.modules
import causalkd.alignment.pyvene.architectures  # noqa: E402, F401

assert "pyvene" in sys.modules
