//! What happened at each hop of an event: a bounded ring in memory, switched on per process.
