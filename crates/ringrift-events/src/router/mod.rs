//! The one door that joins bus, stages, queue and dead letters.
