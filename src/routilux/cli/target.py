"""Finds the flow that `module:flow` means."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

from routilux.api import Flow
from routilux.errors import RoutiluxError
from routilux.suggestions import nearest


class TargetError(RoutiluxError):
    """`module:flow` on the command line leads to no flow."""


FILES = (".db", ".sqlite", ".sqlite3", ".json")
"""How names end that are those of stores and recordings."""


def flow_at(target: str, hint: str = "") -> Flow:
    """The flow of this name: a `Flow`, or a function that builds one and needs no argument.

    `hint` says what to do with a file, if one is named in place of a flow.

    Modules are looked for in the current directory first. Raises `TargetError`; what a module or function of the
    user raises of its own goes through.
    """
    name, colon, path = target.partition(":")
    if not name.endswith(".py") and (Path(target).is_file() or (not colon and target.endswith(FILES))):
        raise TargetError(
            f"{target!r} is a file, and what is to run are the routines of a flow: write module:flow.{hint}"
        )
    if name.endswith(".py") or not all(part.isidentifier() for part in name.split(".")):
        raise TargetError(f"{name!r} is not the name of a module.{_as_module(name)} Write module:flow.")
    module = _module(name)
    if not colon or not path:
        raise TargetError(f"{target!r} names no flow. Write module:flow.{_flows_of(module)}")
    found: object = module
    for part in path.split("."):
        if not hasattr(found, part):
            raise TargetError(f"Module {name!r} has no {path!r}.{_flows_of(module, part)}")
        found = getattr(found, part)
    return _flow(found, name, path, module)


def _module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is None or not f"{name}.".startswith(f"{missing.name}."):
            raise  # The module is there, and itself misses another.
        raise TargetError(
            f"There is no module {missing.name!r}. Modules are looked for in {here} and where Python is installed: "
            "go to the directory that holds it, set PYTHONPATH, or correct the name."
        ) from None


def _flow(found: object, name: str, path: str, module: ModuleType) -> Flow:
    if isinstance(found, Flow):
        return found
    if not callable(found):
        raise TargetError(f"{name}:{path} is a {type(found).__name__}, not a Flow.{_flows_of(module)}")
    needed = [
        parameter.name
        for parameter in inspect.signature(found).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if needed:
        raise TargetError(
            f"{name}:{path} is no Flow, and it cannot be called to build one, because it needs "
            f"{', '.join(map(repr, needed))}.{_flows_of(module)}"
        )
    built = found()
    if not isinstance(built, Flow):
        raise TargetError(f"{name}:{path}() gave a {type(built).__name__}, not a Flow.{_flows_of(module)}")
    return built


def _flows_of(module: ModuleType, wanted: str = "") -> str:
    """The end of a message: which flows the module does have."""
    flows = [name for name, value in vars(module).items() if isinstance(value, Flow)]
    if not flows:
        return (
            " The module has no flow by itself; name a function in it that builds one, or assign it: flow = Flow(...)."
        )
    return nearest(wanted, flows)


def _as_module(name: str) -> str:
    """The end of a message: a file's path as it would be as a module's name."""
    if not name.endswith(".py"):
        return ""
    module = name.removesuffix(".py").replace("\\", "/").lstrip("./").replace("/", ".")
    return f" For the file {name} it would be {module}."


def entry_of(flow: Flow, entry: str | None, target: str) -> str:
    """The routine to begin with; raises `TargetError`, with those that there are, if none was named."""
    if entry is None:
        raise TargetError(
            f"To run {target}, say with which routine it begins: --entry ROUTINE. "
            f"Flow {flow.flow_id!r} has {', '.join(map(repr, flow.routines)) or 'none'}."
        )
    return entry
