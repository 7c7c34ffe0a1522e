"""What a worker must import before it can read a flow: the user's main module, and modules that were loaded by path."""

from __future__ import annotations

import builtins
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import msgspec

from engine.errors import GraphError

_by_path: dict[str, str] = {}
"""Name and absolute path of each module that was loaded by its path."""

_importing = threading.Event()
_replaced: list[ModuleType] = []
"""What was `__main__` before; its functions still run."""


class Surroundings(msgspec.Struct, frozen=True):
    """What a process must have in common with the one that built a flow.

    `main`: the name and the file of its main module, "" for one without a name, or None where no file can be imported
    again, as in a REPL, a notebook, `python -c`, or a package's `__main__.py` (which runs whatever it is called).
    """

    path: list[str]
    arguments: list[str]
    folder: str
    main: tuple[str, str] | None
    modules: dict[str, str]

    @classmethod
    def here(cls) -> Surroundings:
        """Those of this process, which from now on also knows its main module by the name that workers have for it."""
        sys.modules["__mp_main__"] = sys.modules["__main__"]
        folder = str(Path.cwd())
        return cls([each or folder for each in sys.path], list(sys.argv), folder, _main(), dict(_by_path))

    def enter(self) -> None:
        """Make this process alike; it imports the user's modules, with `__main__` under the name `__mp_main__`."""
        sys.path[:], sys.argv[:] = self.path, self.arguments
        os.chdir(self.folder)
        with _while_importing():
            _replaced.append(sys.modules["__main__"])
            if self.main is None:
                empty = sys.modules["__main__"] = sys.modules["__mp_main__"] = ModuleType("__main__")
                vars(empty)["__builtins__"] = builtins  # who evaluates annotations looks there
            else:
                name, file = self.main
                sys.modules["__main__"] = _run("__mp_main__", file, find_spec(name) if name else None)
            for name, file in self.modules.items():
                load_file(name, file)


def load_file(name: str, path: str | Path) -> ModuleType:
    """Import the Python file `path` as the module `name`, as workers of this process then do too."""
    _by_path[name] = os.path.abspath(path)
    return _run(name, _by_path[name], spec_from_file_location(name, _by_path[name]))


def in_worker() -> bool:
    """Whether this is a worker that is importing the user's modules: no job may be started then."""
    return _importing.is_set()


def _main() -> tuple[str, str] | None:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    name = spec.name if spec is not None else ""
    file = getattr(main, "__file__", None)
    if file is None or not os.path.isfile(file) or name.rpartition(".")[2] == "__main__":
        return None
    return name, os.path.abspath(file)


def _run(name: str, file: str, spec: ModuleSpec | None) -> ModuleType:
    """Run `file` as the module `name`.

    Not by runpy, as multiprocessing does it, which gives a copy of what the module's functions have as their globals.
    """
    module = ModuleType(name)
    module.__file__, module.__spec__ = file, spec
    module.__package__ = None if spec is None else spec.parent
    code = compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)
    before = sys.modules.get(name)
    sys.modules[name] = module
    if name == "__mp_main__":
        sys.modules["__main__"] = module
    try:
        exec(code, vars(module))
    except BaseException:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        raise
    return module


@contextmanager
def _while_importing() -> Iterator[None]:
    _importing.set()
    try:
        yield
    except GraphError:
        raise
    except (Exception, SystemExit) as error:
        raise GraphError(
            f"a worker could not import what the flow needs: {type(error).__name__}: {error}",
            hint='a worker imports the program too: what only its parent does stands under if __name__ == "__main__":',
        ) from error
    finally:
        _importing.clear()
