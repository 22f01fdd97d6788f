"""The import paths of RingRift's own Python, over the package ``ringrift_events``.

What a program or the operators' runbook imports from ``app.coordination``, ``app.distributed`` and
``app.core`` is the same system as ``ringrift_events.EventSystem``, by other names. Nothing is decided
here: every event, retry and dead letter is the library's.
"""
