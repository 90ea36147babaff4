"""Causal distillation of language models: the public names, which `__init__.pyi` lists.

Importing this package executes nothing: a name is imported from its module when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
