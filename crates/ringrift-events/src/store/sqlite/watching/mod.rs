//! What watchers keep: their steps, alerts, silences, messages. One verb, one transaction.

mod act;
mod keep;
mod list;
mod messages;
mod on_store;
mod silences;
mod watched;
