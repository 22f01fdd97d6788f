//! Asks for a past event again, for one subscription only.

use super::settle::{about, is_deleted};
use crate::event::Seq;
use crate::store::deliveries::{LetterId, Why};
use crate::store::sqlite::verb::{Plain, Tx, Verb};
use crate::store::sqlite::verbs::letters::{NewRow, event_at, insert_row};
use crate::store::sqlite::verbs::positions::standing;
use crate::store::sqlite::verbs::record::verdict_by;
use crate::store::subscriptions::SubscriptionId;
use crate::store::{Error, ErrorCode};
use crate::verdict::Code;

/// See [`crate::store::Deliveries::replay`].
pub(crate) struct Replay {
    pub(crate) subscription: SubscriptionId,
    pub(crate) seq: Seq,
    pub(crate) by: String,
}

impl Plain for Replay {}

impl Verb for Replay {
    type Answer = LetterId;

    fn run(self, tx: &Tx<'_>) -> Result<LetterId, Error> {
        let standing = standing(tx, self.subscription)?;
        if standing.ended {
            return Err(Error::new(
                ErrorCode::WrongState,
                format!("cannot replay for {}: it has ended", standing.name),
            )
            .with_next("ringrift subs ls"));
        }
        let event = match event_at(tx, self.seq)? {
            Some(event) if !is_deleted(tx, self.seq.0)? => event,
            Some(_) | None => return Err(Error::no_seq(self.seq)),
        };
        let (id, _) = insert_row(tx, &NewRow::waiting(&standing, &event, Why::Replay))?;
        let evidence = serde_json::json!({ "redelivery": id, "name": standing.name });
        let by = (self.by.as_str(), "events.replay");
        verdict_by(
            tx,
            Code::StReplayedAs,
            by,
            about(standing.id, &event),
            &evidence,
        )?;
        Ok(LetterId(id))
    }
}
