"""Durable workflows that live in PostgreSQL."""

from pgflow._async.client import CORE_VERSION
from pgflow._async.handle import Run
from pgflow._async.jobs import Job, job
from pgflow._async.listings import RunPage
from pgflow.app import PgFlow
from pgflow.errors import (
    ConnectionLost,
    DefinitionError,
    Drifted,
    FlowNotFound,
    FlowShapeMismatch,
    InvalidInput,
    NonRetryable,
    NotGranted,
    NotInstalled,
    PgFlowError,
    Retry,
    RunFailed,
    RunNotFound,
    SchemaError,
    Snooze,
    StepNotFound,
    TooNew,
    TooOld,
    TransactionFailed,
    UnusableConnection,
    WaitTimeout,
)
from pgflow.events import (
    RunCompletedEvent,
    RunFailedEvent,
    RunStartedEvent,
    StepCompletedEvent,
    StepFailedEvent,
    StepSkippedEvent,
    StepStartedEvent,
)
from pgflow.flow import Flow
from pgflow.graph import FlowDefinition
from pgflow.runtime_flow import StepSpec
from pgflow.types import (
    CancelOutcome,
    PruneResult,
    RetryOutcome,
    RunStatus,
    StepState,
    StepStatus,
    StepTask,
    TaskStatus,
)
from pgflow.worker.context import Context
from pgflow.worker.health import Health, HealthStatus
from pgflow.worker.pace import PollInterval
from pgflow.worker.state import WorkerState
from pgflow.worker.worker import Worker

__all__ = [
    "CORE_VERSION",
    "CancelOutcome",
    "ConnectionLost",
    "Context",
    "DefinitionError",
    "Drifted",
    "Flow",
    "FlowDefinition",
    "FlowNotFound",
    "FlowShapeMismatch",
    "Health",
    "HealthStatus",
    "InvalidInput",
    "Job",
    "NonRetryable",
    "NotGranted",
    "NotInstalled",
    "PgFlow",
    "PgFlowError",
    "PollInterval",
    "PruneResult",
    "Retry",
    "RetryOutcome",
    "Run",
    "RunCompletedEvent",
    "RunFailed",
    "RunFailedEvent",
    "RunNotFound",
    "RunPage",
    "RunStartedEvent",
    "RunStatus",
    "SchemaError",
    "Snooze",
    "StepCompletedEvent",
    "StepFailedEvent",
    "StepNotFound",
    "StepSkippedEvent",
    "StepSpec",
    "StepStartedEvent",
    "StepState",
    "StepStatus",
    "StepTask",
    "TaskStatus",
    "TooNew",
    "TooOld",
    "TransactionFailed",
    "UnusableConnection",
    "WaitTimeout",
    "Worker",
    "WorkerState",
    "job",
]
