//! The library's errors as Python raises them.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use ringrift_events::coded::{Class, Coded};
use ringrift_events::store::ErrorCode;
use ringrift_events::{config, daemons, explain, router, store, system};

/// Everything an error can say of itself, without the error.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    code: String,
    message: String,
    value: Option<String>,
    next: Option<String>,
    retryable: bool,
    may_have_applied: bool,
}

impl Fault {
    fn of(error: &dyn Coded, retryable: bool) -> Fault {
        Fault {
            code: error.code().to_owned(),
            message: error.to_string(),
            value: error.value().map(|value| value.into_owned()),
            next: error.next().map(|next| next.into_owned()),
            retryable,
            may_have_applied: error.may_have_applied(),
        }
    }

    /// A handle that a forked child has from its parent.
    pub(crate) fn forked(attempted: &str) -> Fault {
        Fault {
            code: ErrorCode::Forked.as_str().to_owned(),
            message: format!(
                "this system was opened before fork(); {attempted} was refused, since the child has \
                 none of its threads: start workers with `spawn`, or publish from the parent"
            ),
            value: None,
            next: None,
            retryable: false,
            may_have_applied: false,
        }
    }

    /// Something that only this layer refuses.
    pub(crate) fn refused(code: &str, message: String) -> Fault {
        Fault {
            code: code.to_owned(),
            message,
            value: None,
            next: None,
            retryable: false,
            may_have_applied: false,
        }
    }

    /// The exception: of the class that Python has for this code.
    pub(crate) fn raise(&self, py: Python<'_>) -> PyErr {
        static MAKE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let make = MAKE.get_or_try_init(py, || {
            let module = py.import("ringrift_events._errors")?;
            module.getattr("make").map(Bound::unbind)
        });
        let made = make.and_then(|make| {
            make.bind(py).call1((
                &self.code,
                &self.message,
                &self.value,
                &self.next,
                self.retryable,
                self.may_have_applied,
            ))
        });
        made.map_or_else(|error| error, PyErr::from_value)
    }
}

/// Errors that do not say whether the same call may succeed later: those that nothing was at fault
/// for but the moment.
fn by_class(error: &dyn Coded) -> Fault {
    Fault::of(error, error.class() == Class::Unavailable)
}

impl From<router::Error> for Fault {
    fn from(error: router::Error) -> Fault {
        Fault::of(&error, error.is_retryable())
    }
}

impl From<store::Error> for Fault {
    fn from(error: store::Error) -> Fault {
        Fault::of(&error, error.is_retryable())
    }
}

impl From<system::Error> for Fault {
    fn from(error: system::Error) -> Fault {
        by_class(&error)
    }
}

impl From<daemons::Error> for Fault {
    fn from(error: daemons::Error) -> Fault {
        by_class(&error)
    }
}

impl From<config::Error> for Fault {
    fn from(error: config::Error) -> Fault {
        by_class(&error)
    }
}

impl From<explain::Error> for Fault {
    fn from(error: explain::Error) -> Fault {
        by_class(&error)
    }
}

/// Raises what a call of the library came to.
pub(crate) trait OrRaise<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T, E: Into<Fault>> OrRaise<T> for Result<T, E> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| error.into().raise(py))
    }
}
