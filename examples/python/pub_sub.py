"""Two handlers in one process: one on the loop, one on a thread; a filter; a receipt.

    python examples/python/pub_sub.py
"""

import asyncio
import tempfile

from ringrift_events import Event, EventSystem, Skip


async def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        async with EventSystem.open(home) as events:

            @events.on("TRAINING_COMPLETED", where={"elo__gte": 1900}, timeout=30)
            async def evaluate(event: Event) -> None:
                print(f"evaluating {event['model_path']} with {event['elo']} points")
                # Its parent is the event that is handled here.
                events.publish("EVALUATION_STARTED", {"config_key": event["config_key"]})

            @events.on("TRAINING_COMPLETED")
            def archive(event: Event) -> Skip | None:
                # A plain function may block: it never runs on the loop.
                return Skip("too weak to keep") if event["elo"] < 1800 else None

            started = events.expect("EVALUATION_STARTED", timeout=10)
            for elo in (1700, 1950):
                receipt = await events.publish(
                    "TRAINING_COMPLETED",
                    {"config_key": "hex8_2p", "model_path": f"models/{elo}.pt", "elo": elo},
                )
                print(f"event {receipt.seq} went to {len(receipt.matched)} handlers")
            print(f"and led to {(await started).type}")


asyncio.run(main())
