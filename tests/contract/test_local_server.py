"""Every test of the contract suite, collected here to run with this directory's fixtures."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from django_datastore.testing import contract

TAKEN: dict[str, str] = {}
"""The module each test comes from."""

for _info in pkgutil.iter_modules(contract.__path__):
    if _info.name.startswith("test_"):
        _found = vars(import_module(f"{contract.__name__}.{_info.name}"))
        for _name in [name for name in _found if name.startswith("test_")]:
            assert _name not in TAKEN, f"{_name} is in {TAKEN[_name]} and in {_info.name}"
            TAKEN[_name] = _info.name
        # the modules' own fixtures, too
        globals().update({name: value for name, value in _found.items() if not name.startswith("_")})
