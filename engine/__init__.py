"""Headgate: streaming dataflow graphs in Python with back-pressure from end to end."""

from engine.aggregates import Aggregate, collect, count, custom, distinct, max_, mean, min_, sum_, top
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
from engine.letters import DeadLetter
from engine.metrics import JobMetrics, JobResult, OperatorMetrics
from engine.settings import Settings
from engine.sink import Sink, SinkContext, Writer
from engine.source import BadRecord, Reader, Source
from engine.stream import Stream
from engine.windowed import WindowedResults, WindowedStream
from engine.windows import Bounds, Count, Session, Sliding, Tumbling, Window, WindowResult

__all__ = [
    "Aggregate",
    "BadRecord",
    "Bounds",
    "CheckpointError",
    "ConnectorError",
    "Count",
    "Dataflow",
    "DeadLetter",
    "DecodeError",
    "EncodeError",
    "GraphError",
    "HeadgateError",
    "InputError",
    "Job",
    "JobCancelled",
    "JobError",
    "JobMetrics",
    "JobResult",
    "KeyedStream",
    "OperatorError",
    "OperatorMetrics",
    "OutputError",
    "Reader",
    "Session",
    "Settings",
    "Sink",
    "SinkContext",
    "Sliding",
    "Source",
    "Stream",
    "Tumbling",
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
