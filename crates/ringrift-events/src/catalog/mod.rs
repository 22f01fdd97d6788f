//! Every known type: category, bridge rule, stage, alert rule, required fields; filters.
