"""A handler as a class: a life cycle, dedup by fields, statistics, errors; in a fresh folder.

    pip install ./crates/ringrift-py ./python/ringrift-app
    python examples/python/handler_base.py
"""

import asyncio
import os
import tempfile
from collections.abc import Callable

from app.coordination.daemon_manager import get_daemon_manager
from app.coordination.event_router import DataEventType, get_router
from app.coordination.handler_base import HandlerBase
from ringrift_events import Event


class Evaluator(HandlerBase):
    """Evaluates each model once."""

    TIMEOUT_SECONDS = 30

    def _get_event_subscriptions(self) -> dict[DataEventType, Callable[[Event], object]]:
        return {DataEventType.TRAINING_COMPLETED: self._on_trained}

    async def _on_trained(self, event: Event) -> None:
        if self._is_duplicate_event(event, key_fields=["config_key", "model_path"]):
            return
        print(f"evaluating {event['model_path']}")


async def main() -> None:
    evaluator = Evaluator.get_instance()
    await evaluator.start()
    router = get_router()
    for model in ("a.pt", "a.pt", "b.pt"):
        payload = {"config_key": "hex8_2p", "model_path": model}
        await router.publish(DataEventType.TRAINING_COMPLETED, payload, source="trainer")
    stats = evaluator.stats
    print(f"{stats.success_count} done, and {stats.events_deduplicated} was a duplicate")

    # A daemon like any other: stopped, it is called no more; started again, once an event.
    await get_daemon_manager().stop_all()
    await get_daemon_manager().start_all()
    print(f"{evaluator.health_check().status}: {router.health_check().healthy}")
    await router.shutdown()


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    asyncio.run(main())
    os.chdir("/")
