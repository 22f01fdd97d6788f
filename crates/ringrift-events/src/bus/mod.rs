//! Delivery to live subscriptions inside this process.
