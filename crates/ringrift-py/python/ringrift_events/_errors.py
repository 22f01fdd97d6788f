"""One exception class per kind of error, each with the library's own code.

What a caller does about an error decides its class: a refused input is mended, a store that is not
available is tried again, a damaged one needs an operator. Classes of single codes stand below these.
"""

from __future__ import annotations


class RingriftError(Exception):
    """Anything that RingRift Events refuses or fails at.

    ``code`` names the kind and has a page in ``docs/errors``; ``value`` is what was at fault;
    ``next`` is a command that helps; ``retryable`` says whether the same call may succeed later
    without anybody's help; ``may_have_applied`` says that the outcome is unknown.
    """

    default_code = "BUG"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        value: str | None = None,
        next: str | None = None,
        retryable: bool = False,
        may_have_applied: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or type(self).default_code
        self.value = value
        self.next = next
        self.retryable = retryable
        self.may_have_applied = may_have_applied

    def __str__(self) -> str:
        advice = f" (try: {self.next})" if self.next else ""
        return f"{self.code}: {self.message}{advice}"

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions with keyword arguments would not cross to another process otherwise.
        return (
            make,
            (
                self.code,
                self.message,
                self.value,
                self.next,
                self.retryable,
                self.may_have_applied,
            ),
        )


class TypeRefused(RingriftError):
    """The event type is unknown, ill-formed or declared in two ways."""

    default_code = "TYPE_UNKNOWN"


class PayloadRefused(RingriftError):
    """The payload cannot be published."""

    default_code = "PAYLOAD_NOT_JSON"


class FieldsMissing(PayloadRefused):
    """The type requires fields that the payload lacks."""

    default_code = "FIELDS_MISSING"


class FilterRefused(RingriftError):
    """The filter is not one."""

    default_code = "FILTER_INVALID"


class PublishRefused(RingriftError):
    """The publish itself cannot be: too deep, an ill-formed id or key."""

    default_code = "PUB_REJECTED"


class Backpressure(RingriftError):
    """Too much is in flight, or the log is full. Nothing was published."""

    default_code = "PUB_BACKPRESSURE"


class PublishFailed(RingriftError):
    """The store did not take the event. ``value`` is its id: publishing that id again is safe."""

    default_code = "PUB_STORE_FAILED"


class IdempotencyConflict(RingriftError):
    """The idempotency key or the id was used for another event."""

    default_code = "IDEMPOTENCY_CONFLICT"


class SubscriptionRefused(RingriftError):
    """The subscription cannot be."""

    default_code = "SUBSCRIPTION_INVALID"


class HandlerRefused(SubscriptionRefused):
    """The function cannot be called with one event."""

    default_code = "HANDLER_SIGNATURE"


class NameTaken(SubscriptionRefused):
    """Another function of this process has the name."""

    default_code = "SUBSCRIPTION_NAME_TAKEN"


class SubscriptionDiffers(SubscriptionRefused):
    """The durable name stands with another definition."""

    default_code = "SUBSCRIPTION_DIFFERS"


class NotBridged(SubscriptionRefused):
    """A durable subscription to a type that does not leave its process."""

    default_code = "SUBSCRIPTION_NOT_BRIDGED"


class ConfigRefused(RingriftError):
    """A setting or the home's file is at fault."""

    default_code = "CONFIG_VALUE_INVALID"


class HomeRefused(RingriftError):
    """The home is missing or cannot be written."""

    default_code = "HOME_MISSING"


class NotFound(RingriftError):
    """The named thing does not exist, or the name is ambiguous."""

    default_code = "NOT_FOUND"


class WrongState(RingriftError):
    """The thing is in a state that does not allow this."""

    default_code = "WRONG_STATE"


class Closed(RingriftError):
    """The system was closed, or is closing."""

    default_code = "ROUTER_STOPPED"


class Forked(RingriftError):
    """The system was opened before ``fork()``: this process may not use it."""

    default_code = "STORE_FORKED"


class LoopEnded(RingriftError):
    """The loop that this needs is not running or has ended."""

    default_code = "LOOP_ENDED"


class ExpectTimeout(RingriftError, TimeoutError):
    """The expected event did not come in time."""

    default_code = "TIMED_OUT"


class StoreError(RingriftError):
    """The store refused or failed."""

    default_code = "STORE_IO"


class StoreBusy(StoreError):
    """Another process holds the write lock for too long."""

    default_code = "STORE_BUSY"


class StoreFull(StoreError):
    """The disk is full."""

    default_code = "STORE_FULL"


class StoreInUse(StoreError):
    """Processes use the store; they have to stop first."""

    default_code = "STORE_IN_USE"


class StorePermissions(StoreError):
    """The home's folders or files have modes that would shut another user out."""

    default_code = "STORE_PERMISSIONS"


class StoreOnNetwork(StoreError):
    """The store lies on a network file system."""

    default_code = "STORE_NETWORK_FS"


class StoreMissing(StoreError):
    """There is no store at this home."""

    default_code = "STORE_MISSING"


class StoreDamaged(StoreError):
    """The store is damaged, replaced, of a newer version, or not ours."""

    default_code = "STORE_CORRUPT"


class FileFailed(RingriftError):
    """A file could not be read or written."""

    default_code = "FILE_FAILED"


class RuntimeFailed(RingriftError):
    """The threads that run handlers could not be started."""

    default_code = "RUNTIME_FAILED"


class DaemonError(RingriftError):
    """A daemon is unknown or did not start."""

    default_code = "DAEMON_START_FAILED"


_CLASSES: dict[str, type[RingriftError]] = {
    "TYPE_UNKNOWN": TypeRefused,
    "TYPE_NAME_INVALID": TypeRefused,
    "TYPE_DIFFERS": TypeRefused,
    "TYPE_DECLARATION_INVALID": TypeRefused,
    "TYPE_DECLARATION_UNREADABLE": TypeRefused,
    "TYPES_TOO_MANY": TypeRefused,
    "STAGE_UNKNOWN": TypeRefused,
    "PAYLOAD_NOT_JSON": PayloadRefused,
    "PAYLOAD_NOT_OBJECT": PayloadRefused,
    "PAYLOAD_NOT_UTF8": PayloadRefused,
    "PAYLOAD_TOO_DEEP": PayloadRefused,
    "PAYLOAD_TOO_LARGE": PayloadRefused,
    "FIELDS_MISSING": FieldsMissing,
    "FILTER_INVALID": FilterRefused,
    "PUB_REJECTED": PublishRefused,
    "TRACEPARENT_INVALID": PublishRefused,
    "PUB_BACKPRESSURE": Backpressure,
    "STORE_BACKPRESSURE": Backpressure,
    "PUB_STORE_FAILED": PublishFailed,
    "IDEMPOTENCY_CONFLICT": IdempotencyConflict,
    "SUBSCRIPTION_INVALID": SubscriptionRefused,
    "SUBSCRIPTION_NAME_INVALID": SubscriptionRefused,
    "HANDLER_SIGNATURE": HandlerRefused,
    "SUBSCRIPTION_NAME_TAKEN": NameTaken,
    "SUBSCRIPTION_DIFFERS": SubscriptionDiffers,
    "SUBSCRIPTION_NOT_BRIDGED": NotBridged,
    "CONFIG_KEY_UNKNOWN": ConfigRefused,
    "CONFIG_UNREADABLE": ConfigRefused,
    "CONFIG_VALUE_INVALID": ConfigRefused,
    "HOME_GROUP_INVALID": HomeRefused,
    "HOME_MISSING": HomeRefused,
    "HOME_UNWRITABLE": HomeRefused,
    "NOT_FOUND": NotFound,
    "EVENT_UNKNOWN": NotFound,
    "NAME_UNKNOWN": NotFound,
    "NAME_AMBIGUOUS": NotFound,
    "WRONG_STATE": WrongState,
    "ROUTER_STOPPED": Closed,
    "STORE_CLOSED": Closed,
    "STORE_FORKED": Forked,
    "LOOP_ENDED": LoopEnded,
    "TIMED_OUT": ExpectTimeout,
    "FILE_FAILED": FileFailed,
    "RUNTIME_FAILED": RuntimeFailed,
    "LEASE_LOST": StoreError,
    "STORE_IO": StoreError,
    "STORE_IN_USE": StoreInUse,
    "STORE_PERMISSIONS": StorePermissions,
    "STORE_NETWORK_FS": StoreOnNetwork,
    "STORE_TWO_HOMES": StoreDamaged,
    "STORE_BUSY": StoreBusy,
    "STORE_FULL": StoreFull,
    "STORE_READ_ONLY": StoreError,
    "STORE_MISSING": StoreMissing,
    "STORE_LOST": StoreMissing,
    "STORE_CORRUPT": StoreDamaged,
    "STORE_NEWER": StoreDamaged,
    "STORE_NOT_OURS": StoreDamaged,
    "STORE_REPLACED": StoreDamaged,
    "STORE_POISONED": StoreDamaged,
    "DAEMON_INTERNAL": DaemonError,
    "DAEMON_START_FAILED": DaemonError,
    "DAEMON_UNKNOWN": DaemonError,
}


def class_of(code: str) -> type[RingriftError]:
    """The class of a code; one that is not listed is the store's, or plain ``RingriftError``."""
    found = _CLASSES.get(code)
    if found is None:
        found = StoreError if code.startswith("STORE_") else RingriftError
    return found


def make(
    code: str,
    message: str,
    value: str | None = None,
    next: str | None = None,
    retryable: bool = False,
    may_have_applied: bool = False,
) -> RingriftError:
    """The exception for what the library says of an error. Called by the native module."""
    return class_of(code)(
        message,
        code=code,
        value=value,
        next=next,
        retryable=retryable,
        may_have_applied=may_have_applied,
    )
