"""Picture: rates, records in flight, credit and memory over time, as a PNG; needs the extra `bench`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from benchmarks.slow_sink.job import TARGET_SECONDS
from benchmarks.slow_sink.profiles import SLOW
from benchmarks.slow_sink.report import COLUMNS, rows
from benchmarks.slow_sink.sampling import Run

INCHES = (9.0, 8.4)
DOTS = 100
SOURCE, SINK, GREY = "#0072b2", "#d55e00", "#777777"
PEERS = ("#009e73", "#cc79a7", "#e69f00")

Column = Callable[[str], list[float]]


def draw(path: Path, runs: Sequence[Run], processes: int) -> None:
    """One picture of one profile; the first run is ours, the others are peers."""
    ours, *peers = runs
    figure = Figure(figsize=INCHES, dpi=DOTS, layout="constrained")
    panels = figure.subplots(4, 1, sharex=True, height_ratios=(3, 3, 1.6, 1.6))
    figure.suptitle(_title(ours, processes), fontsize=13, fontweight="bold")
    _rates(panels[0], _columns(ours))
    _in_flight(panels[1], ours, peers)
    _credit(panels[2], _columns(ours))
    _memory(panels[3], ours, peers)
    for panel in panels:
        _finish(panel, ours)
    panels[-1].set_xlabel("seconds since the first write")
    figure.savefig(path)


def _title(ours: Run, processes: int) -> str:
    over = "one process" if processes == 1 else f"{processes} processes"
    return f"A slow sink over {over}, profile \u201c{ours.profile.name}\u201d: the source follows"


def _columns(run: Run) -> Column:
    table = list(zip(*rows(run), strict=True)) or [()] * (len(COLUMNS) - 1)
    return lambda name: [float(value) for value in table[COLUMNS.index(name) - 1]]


def _rates(panel: Axes, column: Column) -> None:
    panel.plot(column("seconds"), column("source_rate"), color=SOURCE, lw=1.6, label="source")
    panel.plot(column("seconds"), column("sink_rate"), color=SINK, lw=1.6, label="sink")
    panel.set_yscale("symlog", linthresh=SLOW / 4)
    panel.set_ylim(bottom=0)
    panel.set_ylabel("records/s")


def _in_flight(panel: Axes, ours: Run, peers: Sequence[Run]) -> None:
    for run, colour in _coloured(ours, peers):
        column = _columns(run)
        panel.plot(column("seconds"), column("in_flight"), color=colour, lw=1.6, label=run.who)
    column = _columns(ours)
    delay = f"the sink's rate x {TARGET_SECONDS} s"
    panel.plot(column("seconds"), column("delay_records"), color=SINK, lw=1.1, ls=":", label=delay)
    if ours.bound:
        panel.axhline(ours.bound, color=GREY, lw=1.2, ls="--", label=f"bound: {ours.bound:,}")
    panel.set_yscale("symlog", linthresh=100)
    panel.set_ylim(bottom=50)
    panel.set_ylabel("records in flight")


def _credit(panel: Axes, column: Column) -> None:
    panel.fill_between(column("seconds"), column("credit"), color=SOURCE, alpha=0.35, lw=0)
    panel.plot(column("seconds"), column("credit"), color=SOURCE, lw=0.9)
    panel.set_ylabel("credit left,\nrecords")


def _memory(panel: Axes, ours: Run, peers: Sequence[Run]) -> None:
    for run, colour in _coloured(ours, peers):
        column = _columns(run)
        memory = column("memory_mb")
        panel.plot(column("seconds"), [each - memory[0] for each in memory], color=colour, lw=1.4)
    panel.set_ylabel("more memory\nthan at first, MB")
    low, high = panel.get_ylim()
    panel.set_ylim(min(low, -1), max(high, 5))


def _coloured(ours: Run, peers: Sequence[Run]) -> Iterator[tuple[Run, str]]:
    yield ours, SOURCE
    yield from zip(peers, PEERS, strict=False)


def _finish(panel: Axes, ours: Run) -> None:
    panel.set_xlim(0, ours.profile.seconds)
    if ours.profile.slow[1] < ours.profile.seconds:
        panel.axvspan(*ours.profile.slow, color="#000000", alpha=0.045, lw=0)
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    panel.grid(axis="y", color="#dddddd", lw=0.6)
    panel.spines[["top", "right"]].set_visible(False)
    if panel.get_legend_handles_labels()[1]:
        panel.legend(
            loc="lower left",
            bbox_to_anchor=(0, 0.98),
            ncols=6,
            frameon=False,
            fontsize=8,
            columnspacing=1,
            handlelength=1.4,
        )
