//! How well the system is: by progress, not by occupancy.
