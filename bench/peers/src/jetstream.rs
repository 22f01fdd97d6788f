//! NATS JetStream: a stream in files, acknowledged publishes, a durable pull consumer.

use std::collections::VecDeque;
use std::future::IntoFuture as _;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use async_nats::jetstream::{self, AckKind, Context, stream};
use futures::StreamExt as _;
use tokio::runtime::Runtime;

use crate::event::{age, idle, pause, payload};
use crate::orders::{Orders, ready};
use crate::outcome::{Outcome, now, since};

/// Publishes in flight while a stream is filled.
const FILL_IN_FLIGHT: usize = 1_000;

/// Messages that one acknowledgement settles, and that the client asks for at once.
const SETTLES: usize = 1_000;

/// Longest that the client waits for an acknowledgement.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

const STREAM: &str = "BENCH";
const SUBJECT: &str = "bench";

pub(crate) fn run(orders: &Orders) -> Result<Outcome> {
    let runtime = Runtime::new()?;
    runtime.block_on(async {
        let client = async_nats::connect(format!("127.0.0.1:{}", orders.port)).await?;
        let context = jetstream::ContextBuilder::new()
            .timeout(ANSWERS_WITHIN)
            .build(client);
        match orders.work.as_str() {
            "fill" => fill(&context, orders).await,
            "publish" => publish(&context, orders).await,
            "consume" => consume(&context, orders).await,
            "receive" => receive(&context, orders).await,
            "pace" => pace(&context, orders).await,
            other => bail!("no such work: {other}"),
        }
    })
}

/// Begins anew, with so many events.
async fn fill(context: &Context, orders: &Orders) -> Result<Outcome> {
    // That there was none is well.
    context.delete_stream(STREAM).await.ok();
    let config = stream::Config {
        name: STREAM.to_owned(),
        subjects: vec![SUBJECT.to_owned()],
        storage: stream::StorageType::File,
        ..stream::Config::default()
    };
    context.create_stream(config).await?;
    ready()?;
    let began = now();
    let count = pipelined(context, FILL_IN_FLIGHT, |sent| sent < orders.count).await?;
    Ok(Outcome::new(count, since(began)))
}

async fn publish(context: &Context, orders: &Orders) -> Result<Outcome> {
    ready()?;
    let (began, mut took) = (now(), Vec::new());
    if orders.in_flight > 1 {
        let more = |_| since(began) < orders.lasts;
        let count = pipelined(context, orders.in_flight, more).await?;
        return Ok(Outcome::new(count, since(began)));
    }
    while since(began) < orders.lasts {
        let asked = now();
        context.publish(SUBJECT, payload().into()).await?.await?;
        took.push(since(asked));
    }
    Ok(Outcome::new(took.len(), since(began)).latencies(took))
}

/// Publishes as long as it is told, with so many in flight; returns how many.
async fn pipelined(context: &Context, many: usize, more: impl Fn(usize) -> bool) -> Result<usize> {
    let (mut flying, mut sent) = (VecDeque::with_capacity(many), 0);
    while more(sent) {
        if flying.len() == many
            && let Some(first) = flying.pop_front()
        {
            jetstream::context::PublishAckFuture::into_future(first).await?;
        }
        flying.push_back(context.publish(SUBJECT, payload().into()).await?);
        sent += 1;
    }
    for rest in flying {
        rest.await?;
    }
    Ok(sent)
}

async fn consumer(context: &Context, acknowledged: AckPolicy) -> Result<PullConsumer> {
    let config = pull::Config {
        durable_name: Some("bench".to_owned()),
        ack_policy: acknowledged,
        max_ack_pending: 10 * i64::try_from(SETTLES)?,
        ..pull::Config::default()
    };
    Ok(context
        .get_stream(STREAM)
        .await?
        .create_consumer(config)
        .await?)
}

/// Takes all, acknowledging everything so far with one message in a thousand.
async fn consume(context: &Context, orders: &Orders) -> Result<Outcome> {
    let consumer = consumer(context, AckPolicy::All).await?;
    ready()?;
    let began = now();
    let asked = consumer.stream().max_messages_per_batch(SETTLES);
    let mut messages = asked.messages().await?;
    for number in 1..=orders.count {
        let message = messages.next().await.context("the messages ended")??;
        if number == orders.count {
            message.double_ack().await.map_err(|error| anyhow!(error))?;
        } else if number % SETTLES == 0 {
            let all = message.ack_with(AckKind::Ack);
            all.await.map_err(|error| anyhow!(error))?;
        }
    }
    Ok(Outcome::new(orders.count, since(began)))
}

async fn receive(context: &Context, orders: &Orders) -> Result<Outcome> {
    let consumer = consumer(context, AckPolicy::Explicit).await?;
    let mut messages = consumer.messages().await?;
    let idle_percent = idle(orders.idle);
    ready()?;
    let (began, mut took) = (now(), Vec::new());
    while took.len() < orders.count {
        let message = messages.next().await.context("the messages ended")??;
        took.push(age(&message.payload)?);
        message.ack().await.map_err(|error| anyhow!(error))?;
    }
    Ok(Outcome::new(took.len(), since(began))
        .latencies(took)
        .with("idle_percent", idle_percent))
}

async fn pace(context: &Context, orders: &Orders) -> Result<Outcome> {
    ready()?;
    let began = now();
    for number in 0..orders.count {
        std::thread::park_timeout(pause(number));
        context.publish(SUBJECT, payload().into()).await?.await?;
    }
    Ok(Outcome::new(orders.count, since(began)))
}
