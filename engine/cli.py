"""The command `headgate`: run a flow that stands in a file or module, show its plan, run a benchmark."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from engine.dataflow import Dataflow
from engine.errors import HeadgateError
from engine.modules import load_file

if TYPE_CHECKING:
    import click


def main() -> None:
    """The entry point; it needs click, of the extra `cli`."""
    try:
        import click  # noqa: F401
    except ImportError:
        sys.exit("the command needs click: pip install 'headgate[cli]'")
    _commands()()


def _commands() -> click.Group:
    import click

    @click.group()
    def headgate() -> None:
        """Run streaming dataflow graphs in which a slow sink throttles everything back to the source.

        TARGET is a file or a module with a Dataflow in it: job.py, package.job, job.py:flow. A name after the colon
        may be a function without arguments that returns one.
        """

    @headgate.command()
    @click.argument("target")
    @click.option("--progress/--no-progress", default=None, help="Show progress; by default on a terminal.")
    def run(target: str, progress: bool | None) -> None:
        """Run the flow TARGET to its end and print what it did."""
        from engine.progress import shows

        result = _guarded(lambda: load(target).run(progress=progress))
        if not shows(progress):
            click.echo(result)

    @headgate.command()
    @click.argument("target")
    @click.option("--mermaid", is_flag=True, help="As a Mermaid flowchart.")
    def explain(target: str, mermaid: bool) -> None:
        """Show the plan of the flow TARGET and the most records that can be in flight."""
        click.echo(_guarded(lambda: load(target).to_mermaid() if mermaid else load(target).explain()))

    @headgate.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def bench(arguments: tuple[str, ...]) -> None:
        """Run a benchmark; --help lists them. From a checkout, since the package comes without them."""
        _benchmarks().main(arguments, prog_name="headgate bench")

    return headgate


def _benchmarks() -> click.Group:
    """The commands of the benchmarks, which are in a checkout and not in the package."""
    sys.path.insert(0, "")
    try:
        commands = importlib.import_module("benchmarks.commands")
    except ModuleNotFoundError as error:
        if error.name not in {"benchmarks", "benchmarks.commands"}:
            raise
        sys.exit(
            "the benchmarks are not here: the package comes without them; run this in the folder of a checkout of "
            "Headgate's repository"
        )
    return commands.bench  # type: ignore[no-any-return]


def _guarded(action: object) -> object:
    """What `action()` returns; an error of ours becomes a message and exit code 1, with its result if it has one."""
    try:
        return action()  # type: ignore[operator]
    except HeadgateError as error:
        result = getattr(error, "result", None)
        lines = [
            *([str(result)] if result else []),
            f"{type(error).__name__}: {error}",
            *getattr(error, "__notes__", []),
        ]
        sys.exit("\n".join(lines))


def load(target: str) -> Dataflow:
    """The flow that `target`, FILE_OR_MODULE[:NAME], names.

    Without a name it is the only Dataflow of the module. HeadgateError says what was found where there is none or more.
    """
    place, _, name = target.partition(":")
    module = _module(place)
    if name:
        found = getattr(module, name, None)
        flow = found() if callable(found) and not isinstance(found, Dataflow) else found
        if not isinstance(flow, Dataflow):
            raise HeadgateError(
                f"wanted a Dataflow, or a function that returns one, as {name!r} in {place}, found {found!r}"
            )
        return flow
    flows = {key: value for key, value in vars(module).items() if isinstance(value, Dataflow)}
    if len(set(map(id, flows.values()))) != 1:
        there = f"{len(flows)}: {', '.join(flows)}" if flows else "none"
        raise HeadgateError(f"wanted one Dataflow in {place}, found {there}", hint=f"name it: {place}:flow")
    return next(iter(flows.values()))


def _module(place: str) -> ModuleType:
    path = Path(place)
    if path.suffix != ".py":
        sys.path.insert(0, "")
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name is not None and (place == error.name or place.startswith(f"{error.name}.")):
                raise HeadgateError(
                    f"there is no module {place!r}", hint="give a path that ends in .py, or a module name"
                ) from error
            raise
    if not path.is_file():
        raise HeadgateError(f"there is no file {place} in {Path.cwd()}")
    sys.path.insert(0, str(path.parent.absolute()))
    return load_file(path.stem, path)
