"""RingRift Events: publish once, and know what became of it.

    from ringrift_events import EventSystem

    async with EventSystem.open(home) as events:

        @events.on("TRAINING_COMPLETED", durable="evaluator", where={"elo__gte": 1900}, timeout=30)
        async def evaluate(event):
            ...

        receipt = await events.publish("TRAINING_COMPLETED", {"config_key": "hex8_2p"})
"""

from ._answers import Answer, Dead, Duplicate, Retry, Skip
from ._context import current_event, current_trace_id, step, trace
from ._errors import (
    Backpressure,
    Closed,
    ConfigRefused,
    DaemonError,
    ExpectTimeout,
    FieldsMissing,
    FileFailed,
    FilterRefused,
    Forked,
    HandlerRefused,
    HomeRefused,
    IdempotencyConflict,
    LoopEnded,
    NameTaken,
    NotBridged,
    NotFound,
    PayloadRefused,
    PublishFailed,
    PublishRefused,
    RingriftError,
    RuntimeFailed,
    StoreBusy,
    StoreDamaged,
    StoreError,
    StoreFull,
    StoreInUse,
    StoreMissing,
    StoreOnNetwork,
    StorePermissions,
    SubscriptionDiffers,
    SubscriptionRefused,
    TypeRefused,
    WrongState,
)
from ._event import Event
from ._operations import Operations, Stage
from ._publishing import Publishing, Receipt
from ._subscription import Expectation, Subscription
from ._system import EventSystem

__all__ = [
    "Answer",
    "Backpressure",
    "Closed",
    "ConfigRefused",
    "DaemonError",
    "Dead",
    "Duplicate",
    "Event",
    "EventSystem",
    "ExpectTimeout",
    "Expectation",
    "FieldsMissing",
    "FileFailed",
    "FilterRefused",
    "Forked",
    "HandlerRefused",
    "HomeRefused",
    "IdempotencyConflict",
    "LoopEnded",
    "NameTaken",
    "NotBridged",
    "NotFound",
    "Operations",
    "PayloadRefused",
    "PublishFailed",
    "PublishRefused",
    "Publishing",
    "Receipt",
    "Retry",
    "RingriftError",
    "RuntimeFailed",
    "Skip",
    "Stage",
    "StoreBusy",
    "StoreDamaged",
    "StoreError",
    "StoreFull",
    "StoreInUse",
    "StoreMissing",
    "StoreOnNetwork",
    "StorePermissions",
    "Subscription",
    "SubscriptionDiffers",
    "SubscriptionRefused",
    "TypeRefused",
    "WrongState",
    "current_event",
    "current_trace_id",
    "step",
    "trace",
]
