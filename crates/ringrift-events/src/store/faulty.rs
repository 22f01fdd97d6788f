//! A store that fails on purpose, by a seed.
