//! Subscribe: one name, one function, and where its events come from.

use std::sync::Arc;

use super::hosted::{Hosted, Way};
use super::subscription::Subscription;
use super::{Error, Router, Shared};
use crate::bus::{Joined, Mailbox};
use crate::catalog::filter::Filter;
use crate::event::{EventType, Seq};
use crate::handler::{Function, Handler, Policy};
use crate::store::log::TypeSet;
use crate::store::subscriptions::{Definition, Kind, Start, Subscribed};

/// A subscription to make. Nothing happens until it is given to [`Router::subscribe`].
#[derive(Clone, Debug)]
pub struct Subscribe {
    name: String,
    kind: Kind,
    types: Vec<String>,
    stage: Option<String>,
    filter: Option<String>,
    start: Start,
    ordered_by_key: bool,
    replace: bool,
    policy: Option<Policy>,
}

impl Subscribe {
    /// A live subscription: of this process alone, from now until it ends.
    #[must_use]
    pub fn live(name: impl Into<String>) -> Subscribe {
        Subscribe::new(name.into(), Kind::Live)
    }

    /// A durable subscription: it has a position, outlives its process, and is shared by every
    /// process that subscribes under its name.
    #[must_use]
    pub fn durable(name: impl Into<String>) -> Subscribe {
        Subscribe::new(name.into(), Kind::Durable)
    }

    fn new(name: String, kind: Kind) -> Subscribe {
        Subscribe {
            name,
            kind,
            types: Vec::new(),
            stage: None,
            filter: None,
            start: Start::Now,
            ordered_by_key: false,
            replace: false,
            policy: None,
        }
    }

    /// Adds types, by constant or canonical value; `*` is every type.
    #[must_use]
    pub fn to<S: Into<String>>(mut self, types: impl IntoIterator<Item = S>) -> Subscribe {
        self.types.extend(types.into_iter().map(Into::into));
        self
    }

    /// Takes the completions of one pipeline stage: its data event, when it names the stage.
    #[must_use]
    pub fn to_stage(mut self, stage: impl Into<String>) -> Subscribe {
        self.stage = Some(stage.into());
        self
    }

    /// Takes only events whose payload meets this filter.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<String>) -> Subscribe {
        self.filter = Some(filter.into());
        self
    }

    /// Says where a new durable subscription begins.
    #[must_use]
    pub fn start(mut self, start: Start) -> Subscribe {
        self.start = start;
        self
    }

    /// Keeps the order of events with the same key, retries included.
    #[must_use]
    pub fn ordered_by_key(mut self) -> Subscribe {
        self.ordered_by_key = true;
        self
    }

    /// Starts a new version if the name has another definition.
    #[must_use]
    pub fn replace(mut self) -> Subscribe {
        self.replace = true;
        self
    }

    /// Gives the handler's policy; the default is the configured one.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Subscribe {
        self.policy = Some(policy);
        self
    }
}

/// A subscribe whose definition passed the door.
struct Prepared {
    definition: Definition,
    filter: Option<Filter>,
    replace: bool,
    handler: Arc<Handler>,
    /// A live one is on the bus already, joining.
    way: Way,
}

impl Router {
    /// Makes a subscription, or joins the durable one of that name. Blocks for one transaction;
    /// never call it on a thread that runs async handlers: [`Router::subscribe_async`] is for them.
    ///
    /// Subscribing the same function under the same name again answers what stands.
    ///
    /// # Errors
    /// The door's, [`Error::NameTaken`], [`Error::NotBridged`], and the store's:
    /// [`crate::store::ErrorCode::SubscriptionDiffers`] shows the difference.
    pub fn subscribe(
        &self,
        subscribe: Subscribe,
        function: Function,
    ) -> Result<Subscription, Error> {
        if let Some(stands) = self.standing(&subscribe, &function)? {
            return Ok(stands);
        }
        let prepared = self.shared.prepare(subscribe, function)?;
        let asked = self
            .shared
            .store
            .subscribe(prepared.definition.clone(), prepared.replace);
        self.begin(prepared, asked.wait())
    }

    /// The same in a task. Safe to drop: a subscription whose answer nobody took is ended with its
    /// process.
    ///
    /// # Errors
    /// As [`Router::subscribe`].
    pub async fn subscribe_async(
        &self,
        subscribe: Subscribe,
        function: Function,
    ) -> Result<Subscription, Error> {
        if let Some(stands) = self.standing(&subscribe, &function)? {
            return Ok(stands);
        }
        let prepared = self.shared.prepare(subscribe, function)?;
        let asked = self
            .shared
            .store
            .subscribe(prepared.definition.clone(), prepared.replace);
        self.begin(prepared, asked.await)
    }

    /// The subscription of that name, if this very function has it.
    fn standing(
        &self,
        subscribe: &Subscribe,
        function: &Function,
    ) -> Result<Option<Subscription>, Error> {
        let Some(hosted) = self.shared.hosts.named(&subscribe.name) else {
            return Ok(None);
        };
        if hosted.handler.function().same(function) && hosted.definition.kind == subscribe.kind {
            return Ok(Some(Subscription::new(Arc::clone(&self.shared), hosted)));
        }
        Err(Error::NameTaken {
            name: subscribe.name.clone(),
        })
    }

    fn begin(
        &self,
        prepared: Prepared,
        subscribed: Result<Subscribed, crate::store::Error>,
    ) -> Result<Subscription, Error> {
        let shared = &self.shared;
        let subscribed = subscribed.inspect_err(|_| {
            if let Way::Live { joined, mailbox } = &prepared.way {
                shared.bus.leave(*joined);
                mailbox.close();
            }
        })?;
        let hosted = Hosted::new(
            &subscribed,
            prepared.definition,
            prepared.filter,
            prepared.handler,
            prepared.way,
        );
        shared.hosts.add(&hosted);
        if let Some(mailbox) = hosted.mailbox() {
            let before = Seq(subscribed.valid_from.0 - 1);
            shared.polled.begins_after(before, &shared.bus);
            mailbox.release(subscribed.valid_from);
        }
        hosted.run_in(
            &shared.runtime,
            Shared::host(Arc::clone(shared), Arc::clone(&hosted)),
        );
        shared.log_subscribed(&hosted);
        shared.first_subscription();
        // A poller that waits for other types has to learn of these.
        shared.store.ring();
        Ok(Subscription::new(Arc::clone(shared), hosted))
    }
}

impl Shared {
    fn prepare(&self, subscribe: Subscribe, function: Function) -> Result<Prepared, Error> {
        if self.is_stopping() {
            return Err(Error::Stopped {
                attempted: "subscribe",
            });
        }
        let types = self.types_of(&subscribe)?;
        if subscribe.kind == Kind::Durable {
            self.refuse_unbridged(&subscribe.name, &types)?;
        }
        let filter = self.filter_of(&subscribe)?;
        let policy = subscribe
            .policy
            .unwrap_or_else(|| self.settings.policy.clone());
        let definition = Definition {
            name: subscribe.name,
            kind: subscribe.kind,
            types,
            filter: filter.as_ref().map(ToString::to_string),
            start: subscribe.start,
            dedup: policy
                .dedup
                .as_ref()
                .map(|dedup| dedup.fields.clone())
                .unwrap_or_default(),
            ordered_by_key: subscribe.ordered_by_key,
        };
        if definition.name.is_empty() || definition.name.len() > NAME_BYTES_MAX {
            return Err(Error::Definition {
                problem: format!("a name has 1 to {NAME_BYTES_MAX} bytes"),
                name: definition.name,
            });
        }
        let handler = Handler::new(
            &definition.name,
            function,
            policy,
            Arc::clone(&self.handler_host),
        );
        let way = match definition.kind {
            Kind::Durable => Way::Durable,
            Kind::Live => {
                let (joined, mailbox) = self.join_bus(&definition, filter.as_ref());
                Way::Live { joined, mailbox }
            }
        };
        Ok(Prepared {
            definition,
            filter,
            replace: subscribe.replace,
            handler,
            way,
        })
    }

    fn types_of(&self, subscribe: &Subscribe) -> Result<TypeSet, Error> {
        if subscribe.types.iter().any(|name| name == "*") {
            return Ok(TypeSet::All);
        }
        let mut types: Vec<EventType> = Vec::new();
        for name in &subscribe.types {
            let entry = self
                .catalog
                .resolve(name)
                .inspect_err(|error| self.log.refused_subscribe(&subscribe.name, error))?;
            types.push(entry.event_type.clone());
        }
        if let Some(stage) = &subscribe.stage {
            types.push(self.catalog.stage(stage)?.data_event.clone());
        }
        if types.is_empty() {
            return Err(Error::Definition {
                name: subscribe.name.clone(),
                problem: "it names no type; `*` is every type".to_owned(),
            });
        }
        Ok(TypeSet::only(types))
    }

    fn refuse_unbridged(&self, name: &str, types: &TypeSet) -> Result<(), Error> {
        let TypeSet::Only(types) = types else {
            return Ok(());
        };
        for event_type in types {
            let entry = self.catalog.resolve(event_type.as_str())?;
            if !entry.bridged {
                return Err(Error::NotBridged {
                    name: name.to_owned(),
                    event_type: event_type.to_string(),
                });
            }
        }
        Ok(())
    }

    /// The user's filter, joined with the condition of its stage.
    fn filter_of(&self, subscribe: &Subscribe) -> Result<Option<Filter>, Error> {
        let stage = match &subscribe.stage {
            None => None,
            Some(stage) => Some(format!("stage = \"{}\"", self.catalog.stage(stage)?.value)),
        };
        let text = match (&subscribe.filter, stage) {
            (None, None) => return Ok(None),
            (Some(filter), None) => filter.clone(),
            (None, Some(stage)) => stage,
            (Some(filter), Some(stage)) => format!("({filter}) and {stage}"),
        };
        let parsed = Filter::parse(&text).map_err(crate::catalog::Error::from)?;
        Ok(Some(parsed))
    }

    fn join_bus(&self, definition: &Definition, filter: Option<&Filter>) -> (Joined, Arc<Mailbox>) {
        let mailbox = self.bus.mailbox(self.settings.mailbox);
        let joined = self.bus.join(
            definition.types.clone(),
            filter.cloned(),
            Arc::clone(&mailbox),
        );
        (joined, mailbox)
    }
}

/// Longest name of a subscription, in bytes: it stands in every line about it.
pub const NAME_BYTES_MAX: usize = 200;
