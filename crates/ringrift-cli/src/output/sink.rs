//! Standard output, to which a broken pipe is an end and not a panic.

use std::io::{self, Write};

use crate::failure::{Error, Stop};

/// Where data goes: standard output, or memory in tests.
pub(crate) struct Sink(Box<dyn Write + Send>);

impl Sink {
    /// This process's standard output.
    pub(crate) fn stdout() -> Sink {
        Sink(Box::new(io::stdout()))
    }

    /// This process's standard error.
    pub(crate) fn stderr() -> Sink {
        Sink(Box::new(io::stderr()))
    }

    /// Any other writer.
    #[cfg(test)]
    pub(crate) fn to(writer: impl Write + Send + 'static) -> Sink {
        Sink(Box::new(writer))
    }

    /// Writes text that ends its own lines, and flushes it.
    ///
    /// When it answers, the operating system has the text. [`Stop::ReaderGone`] when nobody reads.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), Stop> {
        self.0
            .write_all(text.as_bytes())
            .and_then(|()| self.0.flush())
            .map_err(stop)
    }

    /// Writes one line and flushes it.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Stop> {
        let mut line = String::with_capacity(text.len() + 1);
        line.push_str(text);
        line.push('\n');
        self.write(&line)
    }
}

fn stop(source: io::Error) -> Stop {
    if source.kind() == io::ErrorKind::BrokenPipe {
        return Stop::ReaderGone;
    }
    Stop::from(Error::Io {
        what: "cannot write to standard output".to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refuses(io::ErrorKind);

    impl Write for Refuses {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_broken_pipe_is_an_end_and_a_full_disk_a_failure() {
        let broken = Sink::to(Refuses(io::ErrorKind::BrokenPipe)).line("x");
        assert!(matches!(broken, Err(Stop::ReaderGone)));
        let full = Sink::to(Refuses(io::ErrorKind::StorageFull)).line("x");
        assert!(matches!(full, Err(Stop::Failed(failure)) if failure.code == "FILE_FAILED"));
    }
}
