"""The bus of events."""
