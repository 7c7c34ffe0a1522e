"""Explaining: a plan as text, a tree of tasks with the most records that can be in flight on each edge."""

from __future__ import annotations

from collections.abc import Iterator

from engine.graph import ASIDE, LETTERS, Node
from engine.layout import HOME, worker_name
from engine.operation import Operation
from engine.operations import FromSource, ToSink
from engine.plan import Plan
from engine.task_plan import Edge, TaskPlan


def explained(plan: Plan, *, checkpoint: bool = False) -> str:
    """The plan as a tree; with `checkpoint`, what each source and sink can do in a job that makes checkpoints."""
    return "\n".join([f"flow {plan.name!r}", *_lines(plan, checkpoint=checkpoint)])


def _lines(plan: Plan, *, checkpoint: bool) -> Iterator[str]:
    seen: set[TaskPlan] = set()
    for task in plan.tasks:
        if not task.inputs:
            yield from _tree(plan, task, "", seen, checkpoint=checkpoint)
    delay = plan.settings.target_delay
    yield f"at most {plan.bound:,} records in flight; behind a slow sink about as many as it takes in {delay}"
    links = sum(edge.links for edge in plan.edges)
    if links:
        mib = links * plan.settings.max_window_bytes / 2**20
        yield f"at most {mib:,.0f} MiB of them encoded, between processes"


def _tree(plan: Plan, task: TaskPlan, indent: str, seen: set[TaskPlan], *, checkpoint: bool) -> Iterator[str]:
    times = f" x {task.parallelism}" if task.parallelism > 1 else ""
    if set(task.workers) != {HOME} or plan.workers:
        times += f" [{', '.join(dict.fromkeys(map(worker_name, task.workers)))}]"
    thread = " [own thread]" if task.own_thread else ""
    again = " (see above)" if task in seen and task.outputs else ""
    end = _promise(task.nodes[0].operation) if checkpoint else ""
    yield f"{indent}{'; '.join(_described(node) for node in task.nodes)}{end}{times}{thread}{again}"
    if task in seen:
        return
    seen.add(task)
    for edge in task.outputs:
        by = f" by {edge.key}" if edge.route == "hash" and edge.key else ""
        what = _part(task, edge.output)
        side = _side(edge)
        yield f"{indent}  └─ {what}{side}{edge.route}{by}: at most {edge.bound:,} records{_links(edge)}"
        yield from _tree(plan, edge.consumer, indent + "     ", seen, checkpoint=checkpoint)


def _described(node: Node) -> str:
    description = node.operation.describe()
    policy = "" if node.on_error == "fail" else f", on_error={node.on_error}"
    return (
        f"{node.name}{policy}"
        if description in {node.name, f"{node.operation.kind} {node.name}"}
        else f"{node.name} ({description}{policy})"
    )


def _promise(operation: Operation) -> str:
    """What a source or sink can do in a job that makes checkpoints."""
    if isinstance(operation, FromSource):
        return ", resumable" if operation.source.resumable else ", cannot go on where it stopped"
    return f", {operation.sink.delivery}" if isinstance(operation, ToSink) else ""


def _links(edge: Edge) -> str:
    if not edge.links:
        return ""
    why = edge.pickled_because
    coding = "msgpack" if why is None else f"pickles ({why})"
    return f", {edge.links} of {edge.channels} channels to other processes, as {coding}"


def _side(edge: Edge) -> str:
    return "table, " if edge.is_table else "right side, " if edge.right else ""


def _part(task: TaskPlan, output: int) -> str:
    if output == LETTERS:
        return "dead letters, "
    if output <= ASIDE:
        return f"{task.nodes[0].operation.asides[ASIDE - output].name} records, "
    outputs = task.nodes[-1].outputs
    return f"part {output + 1} of {outputs}, " if outputs > 1 else ""
