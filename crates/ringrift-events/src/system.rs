//! Composes the rooms: the only place that builds and wires.
