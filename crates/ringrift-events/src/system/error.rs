//! What can go wrong while a system is opened.

use std::borrow::Cow;

use crate::coded::{Class, Coded};
use crate::{config, store};

/// What can go wrong while a system is opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The configuration or the home.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A type of the configuration or of the store's catalog.
    #[error(transparent)]
    Catalog(#[from] crate::catalog::Error),
    /// A daemon.
    #[error(transparent)]
    Daemon(#[from] crate::daemons::Error),
    /// The threads that run handlers could not be started.
    #[error("the threads that run handlers could not be started: {0}")]
    Runtime(String),
}

impl Coded for Error {
    fn code(&self) -> &'static str {
        match self {
            Error::Config(error) => error.code(),
            Error::Store(error) => error.code(),
            Error::Catalog(error) => error.code(),
            Error::Daemon(error) => error.code(),
            Error::Runtime(_) => "RUNTIME_FAILED",
        }
    }

    fn class(&self) -> Class {
        match self {
            Error::Config(error) => error.class(),
            Error::Store(error) => error.class(),
            Error::Catalog(error) => error.class(),
            Error::Daemon(error) => error.class(),
            Error::Runtime(_) => Class::Unavailable,
        }
    }

    fn value(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::Config(error) => error.value(),
            Error::Store(error) => error.value(),
            Error::Catalog(error) => error.value(),
            Error::Daemon(error) => error.value(),
            Error::Runtime(why) => Some(Cow::Borrowed(why)),
        }
    }

    fn next(&self) -> Option<Cow<'_, str>> {
        match self {
            Error::Config(error) => error.next(),
            Error::Store(error) => error.next(),
            Error::Catalog(error) => error.next(),
            Error::Daemon(error) => error.next(),
            Error::Runtime(_) => Some(Cow::Borrowed("ulimit -a")),
        }
    }
}
