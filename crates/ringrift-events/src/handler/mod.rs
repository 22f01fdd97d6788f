//! The user's function, its policies in their fixed order, and what came of each run.
