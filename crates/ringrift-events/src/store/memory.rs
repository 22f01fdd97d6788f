//! The store in memory: the oracle of the conformance suite, and the store of tests.
