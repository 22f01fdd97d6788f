//! Failed deliveries and what operators do with them.
