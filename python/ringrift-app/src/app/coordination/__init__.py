"""The router, its handlers, the queue between processes and what happens to what failed."""
