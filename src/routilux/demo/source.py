"""Python source on disk: where it is, what its bytes say, and its syntax tree."""

from __future__ import annotations

import ast
import io
import os
import re
import sysconfig
import threading
import tokenize
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

_LEFT_OUT = frozenset({"site-packages", "dist-packages", "__pycache__"})

_ORIGIN = "<routilux demo>"
"""What the compiler is told the file is called: it is by this that the warnings about it are recognised."""


_PARSING = threading.Lock()
"""CPython 3.11 and 3.12 keep the depth of the tree they build in one place for all threads (python/cpython#106905)."""


def standard_library() -> Path:
    """The directory of the standard library of this interpreter."""
    return Path(sysconfig.get_paths()["stdlib"])


def python_files(directory: Path, limit: int | None = None) -> Iterator[str]:
    """The paths of the Python files below a directory, relative to it, in a fixed order; at most `limit`.

    Installed packages are left out, symbolic links to directories are not followed.
    """
    return islice(_walk(directory), limit)


def _walk(directory: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(directory):
        folders[:] = sorted(set(folders) - _LEFT_OUT)
        for file in sorted(files):
            if file.endswith(".py"):
                yield Path(folder, file).relative_to(directory).as_posix()


def decoded(raw: bytes) -> str:
    """The text of a source file, as `tokenize.open` would read it.

    Raises `SyntaxError` for an encoding that is unknown or contradicts itself, `UnicodeDecodeError` for bytes
    that are not in it.
    """
    encoding, _ = tokenize.detect_encoding(io.BytesIO(raw).readline)
    return raw.decode(encoding)


def tree_of(text: str) -> ast.Module:
    """The syntax tree of a source text.

    Raises `SyntaxError`, `ValueError`, `RecursionError` or `MemoryError`.

    What the compiler would warn of is not our matter. It is not printed, and under `-W error` it raises nothing.
    """
    _silence()
    with _PARSING:
        return ast.parse(text, _ORIGIN)


def _silence() -> None:
    """Sees to it that warnings about `_ORIGIN` are ignored, and no others.

    The filters belong to the process. To replace and restore them for each file, as `catch_warnings` does, would
    in one thread undo what another just did. So one filter that fits nothing but the demo is added where it is
    missing, and stays: to add it twice does no harm, and nobody else can notice it.
    """
    pattern = re.escape(_ORIGIN)
    if not any(
        action == "ignore" and getattr(module, "pattern", module) == pattern
        for action, _, _, module, _ in warnings.filters
    ):
        warnings.filterwarnings("ignore", module=pattern)
