"""Durable workflows that live in PostgreSQL."""

from pgflow._async.client import CORE_VERSION
from pgflow._async.handle import Run
from pgflow.app import PgFlow
from pgflow.errors import (
    ConnectionLost,
    DefinitionError,
    Drifted,
    FlowNotFound,
    FlowShapeMismatch,
    InvalidInput,
    NotInstalled,
    PgFlowError,
    RunFailed,
    RunNotFound,
    SchemaError,
    StepNotFound,
    TooNew,
    TooOld,
    WaitTimeout,
)
from pgflow.flow import Flow
from pgflow.types import RunStatus, StepState, StepStatus, TaskStatus
from pgflow.worker.context import Context
from pgflow.worker.worker import Worker, WorkerState

__all__ = [
    "CORE_VERSION",
    "ConnectionLost",
    "Context",
    "DefinitionError",
    "Drifted",
    "Flow",
    "FlowNotFound",
    "FlowShapeMismatch",
    "InvalidInput",
    "NotInstalled",
    "PgFlow",
    "PgFlowError",
    "Run",
    "RunFailed",
    "RunNotFound",
    "RunStatus",
    "SchemaError",
    "StepNotFound",
    "StepState",
    "StepStatus",
    "TaskStatus",
    "TooNew",
    "TooOld",
    "WaitTimeout",
    "Worker",
    "WorkerState",
]
