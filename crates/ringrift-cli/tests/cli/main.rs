//! The command as operators and scripts run it: the real binary on homes of its own.

mod home;
#[path = "../../../ringrift-events/tests/support/over.rs"]
mod over;

mod dead_letters;
mod demo;
mod doctor;
mod exec;
mod homes;
mod json;
mod lint;
mod listen;
mod openmetrics;
mod operate;
mod otlp;
mod publish;
mod recovery;
mod restore;
mod resubscribe;
mod silent;
mod streams;
mod terminal;
mod watching;
