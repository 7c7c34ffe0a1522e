"""Headgate: streaming dataflow graphs in Python with back-pressure from end to end."""

from cext.keyed_process import Tagged
from engine.aggregates import Aggregate, collect, count, custom, distinct, max_, mean, min_, sum_, top
from engine.checkpoint_metrics import CheckpointMetrics
from engine.checkpoints import Checkpoints
from engine.dataflow import Dataflow
from engine.errors import (
    CheckpointError,
    ConnectorError,
    DecodeError,
    EncodeError,
    GraphError,
    HeadgateError,
    InputError,
    JobCancelled,
    JobError,
    OperatorError,
    OutputError,
    WorkerLost,
)
from engine.job import Job
from engine.keyed import KeyedStream
from engine.keyed_process import KeyedProcess, SideOutput, Timer, Timers
from engine.letters import DeadLetter
from engine.metrics import JobMetrics, JobResult, OperatorMetrics
from engine.processing import ProcessResults
from engine.ranking import Ranked
from engine.settings import Settings
from engine.sink import Sink, SinkContext, Writer
from engine.source import BadRecord, Reader, Source
from engine.state import ListState, MapState, StateList, StateMap, ValueState
from engine.stream import Stream
from engine.triggers import Global, Trigger
from engine.windowed import WindowedResults, WindowedStream
from engine.windows import Bounds, Count, Session, Sliding, Tumbling, Window, WindowResult

__all__ = [
    "Aggregate",
    "BadRecord",
    "Bounds",
    "CheckpointError",
    "CheckpointMetrics",
    "Checkpoints",
    "ConnectorError",
    "Count",
    "Dataflow",
    "DeadLetter",
    "DecodeError",
    "EncodeError",
    "Global",
    "GraphError",
    "HeadgateError",
    "InputError",
    "Job",
    "JobCancelled",
    "JobError",
    "JobMetrics",
    "JobResult",
    "KeyedProcess",
    "KeyedStream",
    "ListState",
    "MapState",
    "OperatorError",
    "OperatorMetrics",
    "OutputError",
    "ProcessResults",
    "Ranked",
    "Reader",
    "Session",
    "Settings",
    "SideOutput",
    "Sink",
    "SinkContext",
    "Sliding",
    "Source",
    "StateList",
    "StateMap",
    "Stream",
    "Tagged",
    "Timer",
    "Timers",
    "Trigger",
    "Tumbling",
    "ValueState",
    "Window",
    "WindowResult",
    "WindowedResults",
    "WindowedStream",
    "WorkerLost",
    "Writer",
    "collect",
    "count",
    "custom",
    "distinct",
    "max_",
    "mean",
    "min_",
    "sum_",
    "top",
]
