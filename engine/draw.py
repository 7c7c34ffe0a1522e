"""A flow as a picture: Mermaid text, and SVG for notebooks."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from engine.graph import ASIDE, LETTERS, Graph, Input, Node
from engine.types import name_of

_WIDTH, _HEIGHT = 190, 46
_GAP_X, _GAP_Y = 76, 26
_MARGIN = 12
_FILLS = {"source": "#dff0e4", "sink": "#dfe8f6"}


def mermaid(graph: Graph) -> str:
    """The graph as a Mermaid flowchart, from left to right."""
    return "\n".join(_mermaid_lines(graph)) + "\n"


def _mermaid_lines(graph: Graph) -> Iterator[str]:
    yield "flowchart LR"
    number = {node: i for i, node in enumerate(graph.nodes)}
    for node, i in number.items():
        text = _mermaid_text(f"{node.name}<br/><i>{name_of(node.type)}</i>" if node.outputs else node.name)
        yield f"    n{i}([{text}])" if node.operation.role in _FILLS else f"    n{i}[{text}]"
    for before, after, source in _arrows(graph):
        label = _label(before, source)
        arrow = "-.->" if source.output == LETTERS else "-->"
        yield f"    n{number[before]} {arrow}{f'|{_mermaid_text(label)}|' if label else ''} n{number[after]}"


def _mermaid_text(text: str) -> str:
    return '"' + text.replace('"', "#quot;") + '"'


def _arrows(graph: Graph) -> Iterator[tuple[Node, Node, Input]]:
    for after in graph.nodes:
        for source in after.inputs:
            if source.node is not None:
                yield source.node, after, source
            else:
                for before in graph.nodes:
                    if before.on_error == "dead-letter":
                        yield before, after, source


def _label(before: Node, source: Input) -> str:
    if source.output == LETTERS:
        return ""  # its arrow is of another kind
    parts = [before.operation.asides[ASIDE - source.output].name] if source.output <= ASIDE else []
    if source.right:
        parts.append("table" if source.is_table else "right")
    if before.outputs > 1:
        parts.append(f"{source.output + 1} of {before.outputs}")
    if source.key is not None:
        parts.append(f"by {source.key}")
    elif source.route != "forward" and not source.is_table:
        parts.append(source.route)
    return ", ".join(parts)


def svg(graph: Graph) -> str:
    """The graph as a picture: a column for each step from the sources, an arrow for each edge."""
    places = _places(graph)
    width = max((x for x, _ in places.values()), default=0) + _WIDTH + _MARGIN
    height = max((y for _, y in places.values()), default=0) + _HEIGHT + _MARGIN
    body = [_arrow(places[before], places[after], before, source) for before, after, source in _arrows(graph)]
    body += [_box(node, *place) for node, place in places.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(body)}</svg>'
    )


def _places(graph: Graph) -> dict[Node, tuple[int, int]]:
    """Where each node's box stands: a column beyond what feeds it; who reads dead letters stands below all."""
    column: dict[Node, int] = {}
    below: set[Node] = set()
    for node in graph.nodes:
        feeders = [source.node for source in node.inputs if source.node is not None]
        column[node] = max((column[feeder] + 1 for feeder in feeders), default=1 if node.inputs else 0)
        if len(feeders) < len(node.inputs) or below.intersection(feeders):
            below.add(node)
    used: dict[tuple[bool, int], int] = {}
    row: dict[Node, int] = {}
    for node in graph.nodes:
        at = (node in below, column[node])
        row[node] = used[at] = used.get(at, -1) + 1
    above = 1 + max((row[node] for node in graph.nodes if node not in below), default=-1)
    return {
        node: (
            _MARGIN + column[node] * (_WIDTH + _GAP_X),
            _MARGIN + (row[node] + (above if node in below else 0)) * (_HEIGHT + _GAP_Y),
        )
        for node in graph.nodes
    }


def _box(node: Node, x: int, y: int) -> str:
    fill = _FILLS.get(node.operation.role, "#f7f3e8")
    below = "" if not node.outputs else _text(x + _WIDTH // 2, y + 35, name_of(node.type), 'fill="#667" font-size="11"')
    title = escape(f"{node.operation.describe()} ({node.place})")
    return (
        f'<g><title>{title}</title><rect x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="7" fill="{fill}" '
        f'stroke="#99a"/>{_text(x + _WIDTH // 2, y + (20 if node.outputs else 27), node.name, "")}{below}</g>'
    )


def _text(x: int, y: int, text: str, style: str) -> str:
    most = 27
    shown = text if len(text) <= most else f"{text[: most - 1]}…"
    return f'<text x="{x}" y="{y}" text-anchor="middle" {style}>{escape(shown)}</text>'


def _arrow(start: tuple[int, int], end: tuple[int, int], before: Node, source: Input) -> str:
    if source.output == LETTERS:
        x1, y1 = start[0] + _WIDTH // 2, start[1] + _HEIGHT
        x2, y2 = end[0] + _WIDTH // 2, end[1]
        line = f"M{x1} {y1}C{x1} {(y1 + y2) // 2} {x2} {(y1 + y2) // 2} {x2} {y2}"
        return f'<path d="{line}" fill="none" stroke="#b66" stroke-dasharray="4 3" marker-end="url(#tip)"/>'
    x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT // 2
    x2, y2 = end[0], end[1] + _HEIGHT // 2
    middle = (x1 + x2) // 2
    line = f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2} {y2}"
    drawn = f'<path d="{line}" fill="none" stroke="#667" marker-end="url(#tip)"/>'
    label = _label(before, source)
    return drawn + (_text(middle, (y1 + y2) // 2 - 4, label, 'fill="#446" font-size="10"') if label else "")
