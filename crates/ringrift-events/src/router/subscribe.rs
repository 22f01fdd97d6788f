//! Subscribe: one name, one function, and where its events come from.

use std::sync::Arc;

use super::hosted::{Hosted, Way};
use super::subscription::Subscription;
use super::{Error, Router, Shared};
use crate::bus::{Joined, Mailbox};
use crate::catalog;
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

    /// Says where a new durable subscription begins. One that stands goes on where it is.
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

    /// The subscription of that name, if this very function has it. Refuses where nobody may
    /// subscribe.
    fn standing(
        &self,
        subscribe: &Subscribe,
        function: &Function,
    ) -> Result<Option<Subscription>, Error> {
        self.shared.check_open("subscribe")?;
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
        shared.keep_hosting(&hosted);
        shared.log_subscribed(&hosted);
        shared.first_subscription();
        // A poller that waits for other types has to learn of these.
        shared.store.ring();
        Ok(Subscription::new(Arc::clone(shared), hosted))
    }
}

impl Shared {
    /// The door of subscribing; what it refuses is counted.
    fn prepare(&self, subscribe: Subscribe, function: Function) -> Result<Prepared, Error> {
        let (name, types) = (subscribe.name.clone(), subscribe.types.clone());
        self.checked(subscribe, function).inspect_err(|error| {
            // A refusal of one type says which; any other is about all of them.
            let refused = if let Error::Catalog(catalog::Error::TypeUnknown { name, .. })
            | Error::NotBridged {
                event_type: name, ..
            } = error
            {
                name.clone()
            } else {
                types.join(",")
            };
            self.note_refused_subscribe(&refused, &name, error);
        })
    }

    fn checked(&self, subscribe: Subscribe, function: Function) -> Result<Prepared, Error> {
        check_name(&subscribe.name)?;
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
        check_dedup(&definition)?;
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

/// Most payload fields of a dedup key.
pub const DEDUP_FIELDS_MAX: usize = 16;

/// What a name is made of beside letters and digits: enough for `module.Class.method`,
/// `module.<locals>.function`, `host:program/part` and `user@host`, nothing that a shell, a log line
/// or `#7` could take for something else.
const NAME_MARKS: &str = "._-:/@<>";

/// Checks the name of a subscription, which is its handler's too: 1 to [`NAME_BYTES_MAX`] bytes of
/// letters, digits and `._-:/@<>`, the first of them a letter, a digit or `_`.
///
/// # Errors
/// [`Error::NameInvalid`].
pub fn check_name(name: &str) -> Result<(), Error> {
    let is_begin = |c: char| c.is_alphanumeric() || c == '_';
    let odd = name
        .char_indices()
        .find(|(at, c)| !is_begin(*c) && (*at == 0 || !NAME_MARKS.contains(*c)));
    let problem = match odd {
        _ if name.is_empty() => "it is empty".to_owned(),
        _ if name.len() > NAME_BYTES_MAX => format!("it has {} bytes", name.len()),
        Some((0, c)) => format!("it begins with {c:?}"),
        Some((_, c)) => format!("it holds {c:?}"),
        None => return Ok(()),
    };
    Err(Error::NameInvalid {
        name: name[..name.floor_char_boundary(NAME_BYTES_MAX)].to_owned(),
        problem,
    })
}

fn check_dedup(definition: &Definition) -> Result<(), Error> {
    let too_long = definition.dedup.iter().find(|f| f.len() > NAME_BYTES_MAX);
    let problem = match too_long {
        Some(field) => format!(
            "a field of its dedup key has a name of {} bytes (at most {NAME_BYTES_MAX})",
            field.len()
        ),
        None if definition.dedup.len() > DEDUP_FIELDS_MAX => format!(
            "its dedup key has {} fields (at most {DEDUP_FIELDS_MAX})",
            definition.dedup.len()
        ),
        None => return Ok(()),
    };
    Err(Error::Definition {
        name: definition.name.clone(),
        problem,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_programs_functions_and_hosts_pass() {
        for name in [
            "evaluator",
            "_private",
            "3d-render",
            "trainer.pipeline.Evaluator.on_event",
            "trainer.<locals>.on_event",
            "node-3.example.org:trainer/evaluator",
            "ops@node-3",
            "prüfer",
            &"x".repeat(NAME_BYTES_MAX),
        ] {
            check_name(name).unwrap();
        }
    }

    #[test]
    fn odd_names_are_refused_and_say_what_is_odd() {
        for (name, what) in [
            ("", "empty"),
            ("two\nlines", "'\\n'"),
            ("#1", "begins with '#'"),
            ("../..", "begins with '.'"),
            ("-rf", "begins with '-'"),
            ("two words", "' '"),
            ("a\u{202e}b", "'\\u{202e}'"),
            ("a$b", "'$'"),
            (&"x".repeat(10_000), "10000 bytes"),
        ] {
            let error = check_name(name).unwrap_err();
            assert_eq!(
                crate::coded::Coded::code(&error),
                "SUBSCRIPTION_NAME_INVALID"
            );
            let text = error.to_string();
            assert!(text.contains(what) && text.len() < 600, "{text}");
        }
    }
}
