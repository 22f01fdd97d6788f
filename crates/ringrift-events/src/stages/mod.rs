//! Which pipeline stage completed for which key.
