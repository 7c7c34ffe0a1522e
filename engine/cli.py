"""The command `headgate`: run a flow that stands in a file or module, show its plan, watch it, run a benchmark."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from engine.dataflow import Dataflow
from engine.errors import HeadgateError, JobCancelled
from engine.modules import load_file

if TYPE_CHECKING:
    import click

    from engine.checkpoints import Checkpoints

T = TypeVar("T")

FAILED = 1
CANCELLED = 130
"""As a shell has it for what Ctrl-C ended."""


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

    processes = click.option(
        "--processes", type=click.IntRange(min=1), metavar="N", help="Processes of all that is in no stage of its own."
    )

    @headgate.command()
    @click.argument("target")
    @processes
    @click.option("--progress/--no-progress", default=None, help="Show progress; by default on a terminal.")
    @click.option("--checkpoint", "into", metavar="DIR", help="Make checkpoints there, and go on from those there are.")
    @click.option("--interval", metavar="TIME", help="How often: 10s unless said otherwise.")
    @click.option("--from", "start_from", metavar="SAVEPOINT", help="Begin at this savepoint in DIR.")
    @click.option("--drop", multiple=True, metavar="OPERATOR", help="Go on without its state where that does not fit.")
    @click.option("--again", multiple=True, metavar="SINK", help="It may write again what it has written since.")
    def run(target: str, processes: int | None, progress: bool | None, into: str | None, **wishes: Any) -> None:
        """Run the flow TARGET to its end and print what it did.

        Ctrl-C (or SIGTERM) stops reading, and what has been read is still written; with --checkpoint the job instead
        makes one more and ends there, and the next run goes on. A second one drops what is on its way.

        Exit codes: 0 it finished, or was stopped by the first Ctrl-C; 1 it failed, and stderr says where and why;
        130 it was cancelled by the second; 2 the command line is wrong.
        """
        from engine.progress import shows

        result = _guarded(
            lambda: load(target).run(processes=processes, progress=progress, checkpoint=_checkpoints(into, wishes))
        )
        if not shows(progress):
            click.echo(result)

    @headgate.command()
    @click.argument("target")
    @processes
    @click.option("--mermaid", is_flag=True, help="The graph as a Mermaid flowchart.")
    @click.option("--checkpoint", is_flag=True, help="Also what sources and sinks can do in a job that makes them.")
    def explain(target: str, processes: int | None, mermaid: bool, checkpoint: bool) -> None:
        """Show the plan of the flow TARGET and the most records that can be in flight."""
        flow = _guarded(lambda: load(target))
        plan = flow.to_mermaid if mermaid else partial(flow.explain, processes=processes, checkpoint=checkpoint)
        click.echo(_guarded(plan))

    @headgate.command()
    @click.argument("job", required=False)
    @click.option("--once", is_flag=True, help="Print how it goes once, as text, and exit.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object and exit.")
    @click.option(
        *("--every", "seconds"),
        type=click.FloatRange(0.1, 60),
        default=1.0,
        show_default=True,
        metavar="SECONDS",
        help="Over how long rates and shares are measured.",
    )
    def top(job: str | None, once: bool, as_json: bool, seconds: float) -> None:
        """Watch a running job: its operators, its processes, and which operator is the bottleneck.

        JOB is the name of a flow or the number of the process that runs it; without it, the only job of yours that
        runs. Ctrl-C ends the watching, not the job.
        """
        from engine.watching import show

        _guarded(lambda: show(job, seconds, "json" if as_json else "text" if once else "live"))

    @headgate.command()
    @click.argument("job")
    @click.option("--savepoint", metavar="NAME", help="Keep its last checkpoint under this name.")
    def stop(job: str, savepoint: str | None) -> None:
        """Stop a running job as one Ctrl-C does, and wait for its end.

        JOB is the name of a flow or the number of the process that runs it. With a savepoint, which only a job that
        makes checkpoints can have, `headgate run TARGET --checkpoint DIR --from NAME` goes on from it, at any time and
        with any number of processes.

        Exit codes: 0 it has ended; 1 there is no such job, or the savepoint could not be made.
        """
        from engine.stopping import stop

        click.echo(_guarded(lambda: stop(job, savepoint)))

    @headgate.command("checkpoints")
    @click.argument("directory")
    @click.argument("name", required=False)
    @click.option("--verify", "whole", is_flag=True, help="Read all of it and compare the checksums.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON array and exit.")
    @click.option("--delete", is_flag=True, help="Delete NAME, unless a job goes on from it.")
    def show_checkpoints(directory: str, name: str | None, whole: bool, as_json: bool, delete: bool) -> None:
        """List the checkpoints and savepoints in DIRECTORY, or a URL; with a NAME, what is inside that one.

        NAME is a savepoint's, or the number of a checkpoint. A job deletes its old checkpoints itself; savepoints stay
        until --delete, which may be called while it runs.

        Exit codes: 0 all are as they were written, as far as was looked; 1 one is not, or there are none.
        """
        import msgspec

        from engine.checkpoint_removal import delete as deleted
        from engine.checkpoint_view import lines, look

        if delete:
            if name is None or whole or as_json:
                raise click.UsageError("--delete wants the NAME of one checkpoint or savepoint, and no other option")
            click.echo(_guarded(lambda: deleted(directory, name)))
            return
        looked = _guarded(lambda: look(directory, name, whole=whole))
        text = lines(looked, inside=name is not None, whole=whole)
        click.echo(msgspec.json.encode(looked) if as_json else "\n".join(text))
        sys.exit(FAILED if any(each.wrong for each in looked) else 0)

    @headgate.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
    @click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
    def bench(arguments: tuple[str, ...]) -> None:
        """Run a benchmark; --help lists them. From a checkout, since the package comes without them."""
        _benchmarks().main(arguments, prog_name="headgate bench")

    return headgate


def _checkpoints(into: str | None, wishes: Mapping[str, Any]) -> Checkpoints | None:
    """What the options of `run` say."""
    import click

    said = {name: value for name, value in wishes.items() if value}
    if into is not None:
        from engine.checkpoints import Checkpoints

        return Checkpoints(into=into, **said)
    if said:
        raise click.UsageError("--interval, --from, --drop and --again want --checkpoint DIR")
    return None


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


def _guarded(action: Callable[[], T]) -> T:
    """What `action()` returns; an error of ours becomes a message, with its result if it has one, and an exit code."""
    try:
        return action()
    except KeyboardInterrupt:
        sys.exit(CANCELLED)
    except HeadgateError as error:
        result = getattr(error, "result", None)
        lines = [
            *([str(result)] if result else []),
            f"{type(error).__name__}: {error}",
            *getattr(error, "__notes__", []),
        ]
        print(*lines, sep="\n", file=sys.stderr)
        sys.exit(CANCELLED if isinstance(error, JobCancelled) else FAILED)


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
