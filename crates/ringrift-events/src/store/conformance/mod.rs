//! One suite that every store passes; the memory store is the oracle.
