//! What a worker is told, and how it waits for the others.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// The words of a worker's command line. What a kind of work does not need it does not read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Orders {
    /// Which work.
    pub(crate) work: String,
    /// The port of the server, where there is one.
    pub(crate) port: u16,
    /// The folder that it shares with the others of its run.
    pub(crate) home: PathBuf,
    /// How long it works, where time ends it.
    pub(crate) lasts: Duration,
    /// Events, where their number ends it.
    pub(crate) count: usize,
    /// Events of one transaction.
    pub(crate) batch: usize,
    /// Publishes in flight.
    pub(crate) in_flight: usize,
    /// Subscriptions.
    pub(crate) subscriptions: usize,
    /// Which of the processes beside each other this one is, and how many they are.
    pub(crate) part: (usize, usize),
    /// Events a second, of all processes together.
    pub(crate) rate: f64,
    /// How long the process is watched while nothing happens.
    pub(crate) idle: Duration,
    /// Whether an acknowledged event outlives the loss of power.
    pub(crate) power: bool,
    /// The kind of handler.
    pub(crate) handler: String,
}

impl Orders {
    /// Reads them; each is a name and a value.
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Orders> {
        let mut orders = Orders {
            work: words.next().context("which work?")?,
            port: 0,
            home: PathBuf::new(),
            lasts: Duration::from_secs(1),
            count: 0,
            batch: 1,
            in_flight: 1,
            subscriptions: 1,
            part: (0, 1),
            rate: 500.0,
            idle: Duration::ZERO,
            power: false,
            handler: "immediate".to_owned(),
        };
        while let Some(name) = words.next() {
            let value = words
                .next()
                .with_context(|| format!("{name} wants a value"))?;
            orders
                .set(&name, &value)
                .with_context(|| format!("{name} {value}"))?;
        }
        Ok(orders)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "--port" => self.port = value.parse()?,
            "--home" => self.home = PathBuf::from(value),
            "--seconds" => self.lasts = Duration::try_from_secs_f64(value.parse()?)?,
            "--count" => self.count = value.parse()?,
            "--batch" => self.batch = value.parse()?,
            "--in-flight" => self.in_flight = value.parse()?,
            "--subscriptions" => self.subscriptions = value.parse()?,
            "--part" => {
                let (which, of) = value.split_once('/').context("N/M")?;
                self.part = (which.parse()?, of.parse()?);
            }
            "--rate" => self.rate = value.parse()?,
            "--idle" => self.idle = Duration::try_from_secs_f64(value.parse()?)?,
            "--durability" => self.power = value == "power",
            "--handler" => value.clone_into(&mut self.handler),
            _ => bail!("no such option"),
        }
        Ok(())
    }
}

/// Says that this worker is ready, and waits for the word that all begin with.
pub(crate) fn ready() -> Result<()> {
    println!("ready");
    std::io::stdout().flush()?;
    let mut word = String::new();
    std::io::stdin().lock().read_line(&mut word)?;
    if word.is_empty() {
        bail!("whoever started this worker is gone");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Orders> {
        Orders::parse(line.split(' ').map(str::to_owned))
    }

    #[test]
    fn a_worker_knows_what_it_is_told_and_refuses_the_rest() {
        let orders = parse("steady --seconds 1.5 --part 2/8 --durability power").unwrap();
        assert_eq!(orders.lasts, Duration::from_millis(1_500));
        assert_eq!((orders.part, orders.power), ((2, 8), true));
        for wrong in [
            "publish --seconds",
            "publish --seconds x",
            "publish --speed 3",
        ] {
            parse(wrong).unwrap_err();
        }
    }
}
