"""``python -m ringrift_events``: the command ``ringrift``."""

from ._command import main

main()
