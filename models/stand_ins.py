"""Inert stand-ins for the classes and functions that a pickle names beside its weights.

torch's weights-only reader refuses a name it does not know. Here it is given an empty class under that name, so that
nothing is imported and nothing that the file names can run.
"""

from __future__ import annotations

import contextlib
import pickletools
import re
import threading
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from torch.serialization import add_safe_globals, clear_safe_globals, get_safe_globals

DANGEROUS_MODULES = re.compile(
    r"(bdb|cProfile|ctypes|ftplib|http|importlib|marshal|multiprocessing|nt|os|pdb|pickle|pip|posix|pty|runpy|shutil|"
    r"signal|smtplib|socket|subprocess|sys|timeit|urllib|webbrowser)\."
)
DANGEROUS_NAMES = re.compile(
    r"builtins\.(__import__|breakpoint|compile|delattr|eval|exec|execfile|file|globals|input|locals|open|vars)|"
    r"torch\.(load|hub\..*)"
)
"""No checkpoint needs these. They could not run either, but their file is refused, so that the user hears of them."""
TYPES_OF_DILL = ("dill._dill._load_type", "dill._dill._create_type")
"""Functions of dill that give types; the `robustness` library saves with it."""
MOST_NAMES = 200
"""torch's reader goes through all allowed names at each step, so a file with many would take for ever."""
PICKLES_IN_OLD_FORMAT = 5
"""Magic number, protocol, system, the object, the names of its storages."""

_KEEPS_ITS_TARGET = {"REDUCE", "NEWOBJ", "BUILD", "APPEND", "APPENDS", "SETITEM", "SETITEMS"}
_lock = threading.Lock()


class StandIn:
    """Takes the place of an object of an unknown class. It accepts any arguments, and keeps the object's attributes."""

    attributes: Any = None
    """The state that the object was pickled with, mostly a dict."""

    def __init__(self, *_arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.attributes = state


class _StandInMapping(StandIn):
    # torch's reader sets items only of exactly these types.
    def __new__(cls, *_arguments: Any) -> Any:
        return OrderedDict()


class _StandInList(StandIn):
    def __new__(cls, *_arguments: Any) -> Any:
        return []


class _StandInForTypes(StandIn):
    # dill names the types of functions and classes so, and makes objects of what it is given.
    def __new__(cls, *_arguments: Any) -> Any:
        return StandIn


@dataclass
class PickleScan:
    """What a file's pickles name, found without importing or running it."""

    names: dict[str, set[str]] = field(default_factory=dict)
    """Of each class and function, as `module.name`: the opcodes that fill its objects."""
    strings: set[str] = field(default_factory=set)
    whole: bool = False
    """Whether the pickles could be followed to their end."""
    is_object: bool = False
    """Whether the file holds one object of a class, not a dict or a list."""

    @property
    def has_tensors(self) -> bool:
        return any(name.startswith("torch._utils._rebuild_") for name in self.names)

    @property
    def dangerous(self) -> list[str]:
        """The names that could only be there to do something."""
        return [name for name in self.names if DANGEROUS_MODULES.match(name) or DANGEROUS_NAMES.fullmatch(name)]


def scan_pickle(path: Path) -> PickleScan:
    """Follow the pickles of a file in one of torch's formats, as far as they are whole."""
    scan = PickleScan()
    # A corrupt pickle can raise almost any exception, and the names found before it are still of use.
    with contextlib.suppress(Exception), contextlib.ExitStack() as stack:
        stream: IO[bytes] = stack.enter_context(path.open("rb"))
        count = PICKLES_IN_OLD_FORMAT
        if zipfile.is_zipfile(path):
            archive = stack.enter_context(zipfile.ZipFile(path))
            name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            stream, count = stack.enter_context(archive.open(name)), 1
        for _ in range(count):
            root = _follow(stream, scan)
            scan.is_object |= root is not None and "SETITEM" not in scan.names[root]
        scan.whole = True
    return scan


def _follow(stream: IO[bytes], scan: PickleScan) -> str | None:
    """Follow one pickle. A stack holds, for each value, the class it is an object of, where that is known.

    Returns the class of the pickled object.
    """
    stack: list[Any] = []
    memo: dict[Any, str | None] = {}
    texts: list[str] = []
    for opcode, argument, _ in pickletools.genops(stream):
        if isinstance(argument, str):
            texts.append(argument)
            if len(argument) < 100:
                scan.strings.add(argument)
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if argument is None else argument] = stack[-1]
            continue
        if opcode.name == "STOP":
            return stack[-1] if isinstance(stack[-1], str) else None
        bottom = _pop(stack, opcode)
        stack += [pickletools.markobject if after is pickletools.markobject else None for after in opcode.stack_after]
        if opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            stack[-1] = memo.get(argument)
        elif opcode.name in ("GLOBAL", "INST"):
            stack[-1] = _named(scan, *str(argument).split(" ", 1))
        elif opcode.name == "STACK_GLOBAL":
            stack[-1] = _named(scan, *texts[-2:])
        elif opcode.name in _KEEPS_ITS_TARGET:
            stack[-1] = bottom
            if isinstance(bottom, str):
                scan.names[bottom].add(opcode.name.rstrip("S"))
    return None


def _pop(stack: list[Any], opcode: pickletools.OpcodeInfo) -> Any:
    """Take what an opcode takes off the stack, and return the lowest of it."""
    count = len(opcode.stack_before)
    if pickletools.markobject in opcode.stack_before:
        while stack.pop() is not pickletools.markobject:
            pass
        count = opcode.stack_before.index(pickletools.markobject)
    if not count:
        return None
    bottom = stack[-count]
    del stack[-count:]
    return bottom


def _named(scan: PickleScan, module: str, name: str) -> str:
    # Protocol 2 has the names of Python 2.
    if (module, name) in NAME_MAPPING:
        module, name = NAME_MAPPING[(module, name)]
    else:
        module = IMPORT_MAPPING.get(module, module)
    full = f"{module}.{name}"
    scan.names.setdefault(full, set())
    return full


@contextlib.contextmanager
def standing_in(scan: PickleScan) -> Iterator[None]:
    """Let torch's weights-only reader put a stand-in for each name that it does not know itself.

    What other packs have allowed is not allowed meanwhile.
    """
    with _lock:
        before = get_safe_globals()
        clear_safe_globals()
        try:
            add_safe_globals(list(_classes(scan)))
            yield
        finally:
            clear_safe_globals()
            add_safe_globals(before)


def _classes(scan: PickleScan) -> Iterable[type]:
    yield StandIn
    for full, filled in list(scan.names.items())[:MOST_NAMES]:
        module, _, name = full.rpartition(".")
        kind: type = _StandInForTypes if full in TYPES_OF_DILL else StandIn
        kind = _StandInMapping if "SETITEM" in filled else _StandInList if "APPEND" in filled else kind
        # torch's reader looks a class up by its module and name, and prefers those it knows itself.
        yield type(name, (kind,), {"__module__": module})
