//! The durable log between processes, as the router sees it.
