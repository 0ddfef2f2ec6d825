"""Everything public is listed, importable and documented, and the documentation names what the signature has."""

import importlib
import inspect
import pkgutil
import re
from enum import Enum
from types import ModuleType

import pytest

import mhealth

PACKAGES = [
    "mhealth",
    *(f"mhealth.{m.name}" for m in pkgutil.iter_modules(mhealth.__path__) if not m.name.startswith("_")),
]
SECTION = re.compile(r"^(\w[\w ]*)\n-{3,}\n", re.MULTILINE)


def public(module: ModuleType) -> list[tuple[str, object]]:
    """Return the listed functions and classes that this package defines."""
    listed = ((name, getattr(module, name)) for name in module.__all__)
    return [
        (name, thing)
        for name, thing in listed
        if (inspect.isfunction(thing) or inspect.isclass(thing)) and thing.__module__.startswith(module.__name__)
    ]


def sections(docstring: str) -> dict[str, str]:
    """Split a numpydoc docstring into its sections; the head has the key ``""``."""
    parts = SECTION.split(inspect.cleandoc(docstring))
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def documented_parameters(docstring: str, section: str = "Parameters") -> list[str]:
    """Return the names in the Parameters section, in order (``a, b : int`` gives two)."""
    text = sections(docstring).get(section, "")
    heads = [line.split(" : ")[0] for line in text.splitlines() if line and not line[0].isspace()]
    return [name.strip().lstrip("*") for head in heads for name in head.split(",")]


def accepted_parameters(thing: object) -> list[str]:
    """Return the names that a call takes, `self` and private ones aside."""
    names = inspect.signature(thing).parameters
    return [name for name in names if name not in {"self", "cls"} and not name.startswith("_")]


def own_methods(cls: type) -> list[tuple[str, object]]:
    """Return the public methods and properties that a class defines itself."""
    wrapped = classmethod | staticmethod
    return [
        (name, member.__func__ if isinstance(member, wrapped) else member)
        for name, member in vars(cls).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, wrapped | property))
    ]


def style(name: str) -> tuple[int, str]:
    """Sort key of `__all__`: constants, then classes, then functions, as isort does."""
    return (0 if name.isupper() else 1 if name[:1].isupper() else 2, name)


@pytest.mark.parametrize("package", PACKAGES)
def test_all_is_sorted_and_equals_what_is_importable(package):
    module = importlib.import_module(package)
    names = [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_")
        and not inspect.ismodule(thing)
        and name not in {"annotations", "TYPE_CHECKING"}
        and getattr(thing, "__module__", package).startswith("mhealth")
    ]
    assert module.__all__ == sorted(module.__all__, key=style)
    assert len(set(module.__all__)) == len(module.__all__)
    assert set(names) - {"__version__"} <= set(module.__all__) <= set(dir(module))


def test_what_waits_for_its_first_use_is_what_its_package_has():
    for name, home in mhealth._HOMES.items():
        assert getattr(mhealth, name) is getattr(importlib.import_module(f"mhealth.{home}"), name)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = mhealth.nothing


def test_every_error_is_an_mhealth_error_and_a_built_in_one():
    from mhealth import errors

    for name in errors.__all__:
        cls = getattr(errors, name)
        assert issubclass(cls, errors.MHealthError)
        assert cls is errors.MHealthError or any(base.__module__ == "builtins" for base in cls.__bases__)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_has_a_docstring_that_matches_its_signature(package):
    module = importlib.import_module(package)
    assert module.__doc__
    problems = []
    for name, thing in public(module):
        if inspect.isclass(thing) and issubclass(thing, Exception):
            continue
        problems += differences(f"{package}.{name}", thing)
        if inspect.isclass(thing):
            for method, function in own_methods(thing):
                problems += differences(f"{package}.{name}.{method}", function, method=True)
    assert not problems, "\n".join(problems)


def differences(name: str, thing: object, *, method: bool = False) -> list[str]:
    """Say what a docstring lacks.

    What nobody calls with arguments needs no Parameters: properties, enumerations, protocols. Results may list them as
    Attributes. Short methods, and streams, which only `open` makes, may go without, but not with wrong ones.
    """
    docstring = thing.__doc__ or ""
    if not sections(docstring)[""].strip():
        return [f"{name} has no docstring"]
    if isinstance(thing, property) or (inspect.isclass(thing) and is_never_constructed(thing)):
        return []
    accepted = accepted_parameters(thing)
    documented = documented_parameters(docstring)
    if not documented and inspect.isclass(thing):
        documented = [a for a in documented_parameters(docstring, "Attributes") if a in accepted]
    optional = method or name.endswith("Stream")
    if sorted(documented) == sorted(accepted) or (optional and not documented):
        return []
    return [f"{name} documents {documented} but takes {accepted}"]


def is_never_constructed(cls: type) -> bool:
    """Return whether users call no constructor of a class."""
    return issubclass(cls, tuple | Enum) or getattr(cls, "_is_protocol", False)


NUMPYDOC = """Do.

Parameters
----------
a : int
    One.
b, c : float, default=1.0
    Two.

Returns
-------
d : int
"""


@pytest.mark.parametrize(("docstring", "expected"), [(NUMPYDOC, ["a", "b", "c"]), ("Do.", [])])
def test_parameters_are_read_from_numpydoc(docstring, expected):
    assert documented_parameters(docstring) == expected


def test_a_wrong_docstring_is_told():
    def function(a, c):
        pass

    function.__doc__ = NUMPYDOC
    assert differences("function", function) == ["function documents ['a', 'b', 'c'] but takes ['a', 'c']"]
