//! The command as operators and scripts run it: the real binary on homes of its own.

mod home;

mod dead_letters;
mod exec;
mod homes;
mod operate;
mod publish;
mod streams;
