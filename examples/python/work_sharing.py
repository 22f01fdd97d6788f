"""Two processes share the events of one durable subscription; each event is handled by one of them.

    python examples/python/work_sharing.py
"""

import multiprocessing
import tempfile
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event as Flag

from ringrift_events import Event, EventSystem

EVENTS = 20


def work(home: str, name: str, done: "Queue[tuple[str, str]]", stop: Flag) -> None:
    with EventSystem.open(home) as events:

        @events.on("TRAINING_COMPLETED", durable="evaluator")
        def evaluate(event: Event) -> None:
            time.sleep(0.01)
            done.put((name, event["config_key"]))

        done.put((name, "ready"))
        stop.wait()


def main() -> None:
    # A forked child could not use its parent's system; `spawn` starts a fresh interpreter.
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as home, EventSystem.open(home) as events:
        done, stop = spawn.Queue(), spawn.Event()
        workers = [
            spawn.Process(target=work, args=(home, name, done, stop)) for name in ("one", "two")
        ]
        for worker in workers:
            worker.start()
        for _ in workers:
            done.get(timeout=60)
        for number in range(EVENTS):
            events.publish("TRAINING_COMPLETED", {"config_key": f"model-{number}"})
        handled = [done.get(timeout=60) for _ in range(EVENTS)]
        for name in ("one", "two"):
            print(f"worker {name} handled {sum(1 for who, _ in handled if who == name)} events")
        assert len({key for _, key in handled}) == EVENTS
        stop.set()
        for worker in workers:
            worker.join()


if __name__ == "__main__":
    main()
