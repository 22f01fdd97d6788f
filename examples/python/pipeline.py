"""A pipeline: each stage's completion leads to the next one's, under one trace.

    pip install ./crates/ringrift-py ./python/ringrift-app
    python examples/python/pipeline.py
"""

import asyncio
import os
import tempfile

from app.coordination.event_router import DataEventType, get_router
from app.coordination.stage_events import (
    StageCompletionResult,
    StageEvent,
    get_stage_event_bus,
)
from app.core.tracing import get_trace_id, traced
from ringrift_events import Event

KEY = "hex8_2p"


@traced("train")
async def train(event: Event) -> None:
    result = StageCompletionResult(StageEvent.TRAINING_COMPLETE, KEY, fields={"elo": 1950})
    get_stage_event_bus().complete(result, source="trainer")
    print(f"trained, in trace {get_trace_id()[:8]}")


@traced("promote")
async def promote(event: Event) -> None:
    get_router().publish(DataEventType.MODEL_PROMOTED, {"config_key": KEY}, source="promoter")
    print(f"promoted with {event['elo']} points, in trace {get_trace_id()[:8]}")


async def main() -> None:
    router, stages = get_router(), get_stage_event_bus()
    stages.subscribe(StageEvent.SYNC_COMPLETE, train)
    stages.subscribe(StageEvent.TRAINING_COMPLETE, promote)
    promoted = router.events.expect("MODEL_PROMOTED", timeout=30)
    stages.complete(StageCompletionResult(StageEvent.SYNC_COMPLETE, KEY), source="sync")
    last = await promoted
    print(f"{last.type} came {last.depth} events after the first")
    for done in reversed(stages.completions()):
        print(f"  {done['stage']} for {done['key']}")
    await router.shutdown()


with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    asyncio.run(main())
    os.chdir("/")
