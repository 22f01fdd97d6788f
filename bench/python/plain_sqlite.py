"""Python's own `sqlite3` and nothing else, as a worker of `cargo xtask bench`.

`publish` has the shape of the queue that this system takes the place of: JSON text, one INSERT a commit, WAL
with `synchronous=NORMAL`, two indexes. It stands for that queue, which is not to be had here. `consume` is a
limit: rows behind a cursor that is saved after each step, each awaited by an async function.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import time

from words import TYPE, batches, payload, publish_for, ready, run, say

ROWS = 1_000
"""Rows of one step, and of one transaction while a table is filled."""

LOCKED_MAX_SECONDS = 30.0

INSERT = "INSERT INTO events(event_type, payload, source, created_at) VALUES(?, ?, ?, ?)"


def database(told: argparse.Namespace) -> sqlite3.Connection:
    connection = sqlite3.connect(told.home / "plain.db", timeout=LOCKED_MAX_SECONDS)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.executescript(
        """CREATE TABLE IF NOT EXISTS events(id INTEGER PRIMARY KEY AUTOINCREMENT, event_type TEXT NOT NULL,
             payload TEXT NOT NULL, source TEXT NOT NULL, created_at REAL NOT NULL);
           CREATE INDEX IF NOT EXISTS events_type ON events(event_type);
           CREATE INDEX IF NOT EXISTS events_created ON events(created_at);
           CREATE TABLE IF NOT EXISTS cursors(name TEXT PRIMARY KEY, place INTEGER NOT NULL)"""
    )
    return connection


def row(payload: dict[str, object]) -> tuple[str, str, str, float]:
    return TYPE, json.dumps(payload), "bench", time.time()


def fill(told: argparse.Namespace) -> None:
    connection = database(told)
    ready()
    began = time.monotonic()
    for batch in batches(told.count, ROWS):
        with connection:
            connection.executemany(INSERT, [row(payload()) for _ in range(batch)])
    say(told.count, time.monotonic() - began, [])


def publish(told: argparse.Namespace) -> None:
    connection = database(told)

    def insert(payload: dict[str, object]) -> int | None:
        with connection:
            return connection.execute(INSERT, row(payload)).lastrowid

    publish_for(told.seconds, insert)


def consume(told: argparse.Namespace) -> None:
    count = 0

    async def handle(payload: object) -> None:
        nonlocal count
        count += 1

    async def read(connection: sqlite3.Connection) -> None:
        place = 0
        select = "SELECT id, payload FROM events WHERE id > ? ORDER BY id LIMIT ?"
        while rows := connection.execute(select, (place, ROWS)).fetchall():
            for place, text in rows:
                await handle(text)
            with connection:
                connection.execute("INSERT OR REPLACE INTO cursors VALUES('bench', ?)", (place,))

    connection = database(told)
    ready()
    began = time.monotonic()
    asyncio.run(read(connection))
    assert count == told.count, f"{count} rows were read"
    say(count, time.monotonic() - began, [])


run({"fill": fill, "publish": publish, "consume": consume})
