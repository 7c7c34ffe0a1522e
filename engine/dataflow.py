"""Dataflow: a graph of operators, from its sources on, that can be run, explained and drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from engine.checks import call_it, checked_policy
from engine.errors import GraphError
from engine.graph import LETTERS, Graph, Input, Node, OnError, feeding, stage_of, users_place
from engine.letters import DeadLetter
from engine.operation import Operation
from engine.operations import FromSource
from engine.settings import Settings
from engine.source import Source
from engine.stream import Stream

if TYPE_CHECKING:
    from engine.checkpoints import Checkpoints
    from engine.job import Job
    from engine.metrics import JobResult
    from engine.testing import ManualClock

T = TypeVar("T")


class Dataflow:
    """A graph of operators, from sources to sinks, that can be run.

    `name`: what the job is called; `on_error`: what operators that say nothing of their own do with a record that they
    cannot handle ("fail": deliver what came before it and fail the job; "skip": count it; "dead-letter": send it
    to `dead_letters`); `settings`: the limits of the job.

    >>> from connectors.memory import collect, from_iterable
    >>> flow, squares = Dataflow("squares"), []
    >>> _ = flow.source(from_iterable([1, 2, 3])).map(lambda x: x * x).sink(collect(squares))
    >>> flow.run().state, squares
    ('finished', [1, 4, 9])
    """

    def __init__(self, name: str, *, on_error: OnError = "fail", settings: Settings | None = None) -> None:
        place = users_place()
        if not isinstance(name, str) or not name.strip():
            raise GraphError(f"{place}: a Dataflow wants a name, got {name!r}", hint='e.g. Dataflow("flight-delays")')
        if settings is not None and not isinstance(settings, Settings):
            raise GraphError(f"{place}: settings are a Settings(...), got {settings!r}")
        self.graph = Graph(name)
        self.on_error: OnError = checked_policy(on_error, place)
        self.settings = settings or Settings()

    @property
    def name(self) -> str:
        """What the job is called."""
        return self.graph.name

    def source(self, source: Source[T], *, name: str | None = None, on_error: OnError | None = None) -> Stream[T]:
        """Read `source`: the beginning of a stream. `on_error` is about records that it cannot read."""
        place = users_place()
        if not isinstance(source, Source):
            raise GraphError(
                f"{place}: wanted a Source, got {source!r}",
                hint=call_it(source) or "use one of connectors.*, e.g. connectors.memory.from_iterable(...) for a list",
            )
        node = self._add(FromSource(source), (), source.type, name, source.name, on_error, None, place)
        return Stream(self, (Input(node),), source.type)

    @property
    def dead_letters(self) -> Stream[DeadLetter]:
        """Every record that an operator with on_error="dead-letter" could not handle, and why."""
        return Stream(self, (Input(None, LETTERS),), DeadLetter)

    def run(
        self,
        *,
        processes: int | None = None,
        progress: bool | None = None,
        clock: ManualClock | None = None,
        checkpoint: str | Checkpoints | None = None,
    ) -> JobResult:
        """Run to the end and return what was done.

        `processes`: how many processes run the operators that are in no stage of their own (see Stream.stage); without
        it, and without stages, all run in this one.

        SIGINT or SIGTERM stops the sources and drains; a second one drops what is on its way. `progress`: show a live
        table on stderr, and a summary at the end (by default where stderr is a terminal). `clock`: tells processing
        time, where that is not the system's clock.

        `checkpoint`: a directory or URL of this job alone, or `Checkpoints(into=...)`, which says more. Every 10 s the
        job then keeps there how far it is and what its operators know. Where a function or a connector fails, or a
        process is lost, it goes on from the last complete checkpoint, up to 5 times in a row; where the program itself
        is killed, the next run of the flow does, with any number of processes. Whatever happens, every record counts
        once in what operators know, and is once in each sink that delivers "exactly once"; in others, what came after
        that checkpoint is there again. All sources must be resumable. The first SIGINT or SIGTERM, like `Job.stop`,
        makes one more checkpoint and ends there: nothing is given before its time, and the next run goes on. The next
        run of a job that has finished reads only partitions that are new; aggregates of the whole stream then give the
        totals, over all runs, of the keys that got new records.

        Raises GraphError before anything runs if the graph is not whole, CheckpointError if it cannot go on from what
        is there or another job has the directory, and JobError, with `.result`, when the job fails.

        >>> import tempfile
        >>> from connectors.memory import collect, generate
        >>> flow, got = Dataflow("numbers"), []
        >>> flow.source(generate(int, count=3)).sink(collect(got))
        >>> directory = tempfile.mkdtemp()
        >>> [flow.run(checkpoint=directory).records_read for _ in range(2)], got
        ([3, 0], [0, 1, 2])
        """
        from engine.running import run

        return run(self, progress, processes, clock, checkpoint)

    def start(
        self,
        *,
        processes: int | None = None,
        clock: ManualClock | None = None,
        checkpoint: str | Checkpoints | None = None,
    ) -> Job:
        """Start the job and return at once; all else is as with `run`, but for signals, which are the caller's."""
        from engine.job import Job

        return Job(self, processes, clock, checkpoint).start()

    def explain(self, *, processes: int | None = None, checkpoint: bool = False) -> str:
        """The plan as text: tasks, edges, and the most records that can ever be in flight on each and in sum.

        `checkpoint`: also whether each source can go on where it stopped, and how often each sink delivers a record.

        >>> from connectors.memory import discard, generate
        >>> flow = Dataflow("numbers")
        >>> flow.source(generate(int, count=9)).sink(discard())
        >>> print(flow.explain(checkpoint=True))  # doctest: +ELLIPSIS
        flow 'numbers'
        generate, resumable
          └─ forward: at most 8,192 records
             discard, at least once
        ...
        """
        from engine.explain import explained
        from engine.plan import Plan

        return explained(Plan.of(self, processes, saves=checkpoint), checkpoint=checkpoint)

    def to_mermaid(self) -> str:
        """The graph as Mermaid flowchart text."""
        from engine.draw import mermaid

        return mermaid(self.graph)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """A notebook shows the graph itself."""
        from engine.draw import svg

        return {"image/svg+xml": svg(self.graph), "text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"<Dataflow {self.name!r}: {len(self.graph.nodes)} operators>"

    def _add(
        self,
        operation: Operation,
        inputs: tuple[Input, ...],
        record_type: Any,
        name: str | None,
        default: str,
        on_error: OnError | None,
        parallelism: int | None,
        place: str,
        outputs: int = 1,
    ) -> Node:
        unique = self.graph.unique(name, default, place)
        policy = self.on_error if on_error is None else checked_policy(on_error, place)
        if policy == "dead-letter" and any(each.node is None for each in feeding(inputs)):
            if on_error is not None:
                raise GraphError(
                    f"{place}: {unique!r} handles dead letters, so it cannot send its own there", hint='use "skip"'
                )
            policy = "fail"
        stage = stage_of(inputs)
        return self.graph.add(Node(unique, operation, inputs, record_type, policy, parallelism, place, outputs, stage))
