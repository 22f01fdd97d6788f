//! Settings with their origins.
