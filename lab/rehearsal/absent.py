"""In a bundle's environment: empty modules in the place of packages that the host imports and no rehearsal uses.

The environment's Python installs this when it starts. A package that the machine does have is found before.
"""

import importlib.abc
import importlib.machinery
import sys
import types

NAMES = ("av", "scipy", "torchaudio")


class Empty(types.ModuleType):
    """A module in which any name is a class of that name."""

    __path__ = ()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds NAMES and what is below them."""

    def find_spec(self, fullname, path=None, target=None):
        """A spec for one of them."""
        if fullname.split(".")[0] in NAMES:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec):
        """An empty module."""
        return Empty(spec.name)

    def exec_module(self, module):
        """Nothing is in it."""


def install() -> None:
    """Find them from now on, where nothing else does."""
    sys.meta_path.append(Finder())
