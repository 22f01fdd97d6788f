"""A handler that fails, asks for another try, and gives up; what it leaves behind; and why.

    python examples/python/careful_handler.py
"""

import asyncio
import tempfile
from datetime import timedelta

from ringrift_events import Dead, Event, EventSystem, Retry, step


async def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        async with EventSystem.open(home, settings={"dlq.backoff_first": "20ms"}) as events:

            @events.on(
                "TRAINING_COMPLETED",
                durable="exporter",
                dedup=("config_key", "model_path"),
                timeout=timedelta(seconds=5),
                attempts=3,
            )
            async def export(event: Event) -> Retry | Dead | None:
                step("network", "ask the registry")
                if event["model_path"] == "lost.pt":
                    return Dead("the model is gone")
                if event.attempt == 1:
                    raise ConnectionError("the registry does not answer")
                if event.attempt == 2:
                    return Retry("it is still starting", after=0.05)
                print(f"exported {event['model_path']} at attempt {event.attempt}")
                return None

            await events.publish("TRAINING_COMPLETED", {"config_key": "a", "model_path": "good.pt"})
            lost = await events.publish(
                "TRAINING_COMPLETED", {"config_key": "b", "model_path": "lost.pt"}
            )
            while [one["state"] for one in await asyncio.to_thread(events.dead_letters)] != ["dead"]:
                await asyncio.sleep(0.02)
            for letter in await asyncio.to_thread(events.dead_letters):
                print(f"{letter['handler']} gave up: {letter['error']}")
            story = await asyncio.to_thread(events.explain, lost.id)
            for delivery in story["deliveries"]:
                print(delivery["subscription"], delivery["code"], delivery["sentence"])


asyncio.run(main())
