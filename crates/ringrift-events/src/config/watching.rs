//! `[[alert]]`, `[[sink]]` and `[[pipeline]]` of `ringrift.toml`, and what they come to.

use std::collections::BTreeMap;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::error::{Error, Place};
use super::file::{known_keys, scalar};
use super::load::Config;
use super::value::Value;
use crate::alerts::{
    AlertRules, Refused, Rule, RuleDraft, RuleOrigin, SendRules, Sink, SinkDraft, log_sink, presets,
};
use crate::catalog::pipeline::{RINGRIFT_PIPELINE, STEPS_MAX};
use crate::catalog::{Catalog, Pipeline, nearest_words};
use crate::event::EventType;

/// Most entries of one kind: a person writes them, and each event meets each rule.
const ENTRIES_MAX: usize = 1_000;

const PIPELINE_KEYS: [&str; 4] = ["name", "key", "steps", "limits"];

/// Something of the file and where its parts stand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placed<T> {
    item: T,
    /// Where the entry begins.
    place: Option<Place>,
    /// Where each of its keys stands.
    keys: BTreeMap<String, Place>,
}

/// What the file says of watching.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Watching {
    alerts: Vec<Placed<RuleDraft>>,
    sinks: Vec<Placed<SinkDraft>>,
    pipelines: Vec<Placed<PipelineDraft>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct PipelineDraft {
    name: String,
    key: Option<String>,
    steps: Option<Vec<String>>,
    limits: Vec<(String, String, Place)>,
}

/// One entry's keys and values.
struct Fields<'e, A> {
    list: &'static str,
    entry: &'e Spanned<DeValue<'e>>,
    at: &'e A,
}

impl<A: Fn(usize) -> Place> Fields<'_, A> {
    fn value(&self, key: &str) -> Option<&Spanned<DeValue<'_>>> {
        let table = self.entry.get_ref().as_table()?;
        let found = table
            .iter()
            .find(|(name, _)| name.get_ref().as_ref() == key);
        found.map(|(_, value)| value)
    }

    fn refused(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> Error {
        let shown = scalar(value.get_ref());
        Error::ValueInvalid {
            place: (self.at)(value.span().start),
            key: format!("{}.{key}", self.list),
            value: shown.unwrap_or_else(|| value.get_ref().type_str().to_owned()),
            expected: expected.to_owned(),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, Error> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let DeValue::String(text) = value.get_ref() else {
            return Err(self.refused(key, value, "a text in quotes"));
        };
        Ok(Some(text.to_string()))
    }

    fn yes(&self, key: &str) -> Result<Option<bool>, Error> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let DeValue::Boolean(yes) = value.get_ref() else {
            return Err(self.refused(key, value, "true or false"));
        };
        Ok(Some(*yes))
    }

    fn texts(&self, key: &str) -> Result<Option<Vec<String>>, Error> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.refused(key, value, "a list of texts"));
        };
        let texts = items.iter().map(|item| {
            let DeValue::String(text) = item.get_ref() else {
                return Err(self.refused(key, item, "a text in quotes"));
            };
            Ok(text.to_string())
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    fn table(&self, key: &str) -> Result<Vec<(String, String, Place)>, Error> {
        let Some(value) = self.value(key) else {
            return Ok(Vec::new());
        };
        let Some(table) = value.get_ref().as_table() else {
            return Err(self.refused(
                key,
                value,
                "a table such as `{ TRAINING_COMPLETED = \"6h\" }`",
            ));
        };
        let entries = table.iter().map(|(name, value)| {
            let DeValue::String(text) = value.get_ref() else {
                return Err(self.refused(key, value, "a time in quotes, such as `\"6h\"`"));
            };
            let place = (self.at)(value.span().start);
            Ok((name.get_ref().to_string(), text.to_string(), place))
        });
        entries.collect()
    }

    fn placed<T>(&self, item: T) -> Placed<T> {
        let table = self.entry.get_ref().as_table();
        let keys = table.into_iter().flat_map(|table| table.iter());
        Placed {
            item,
            place: Some((self.at)(self.entry.span().start)),
            keys: keys
                .map(|(name, value)| (name.get_ref().to_string(), (self.at)(value.span().start)))
                .collect(),
        }
    }
}

impl Watching {
    /// Whether the file says nothing of it.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.alerts.is_empty() && self.sinks.is_empty() && self.pipelines.is_empty()
    }

    /// Leaves the alerts as they are shipped.
    pub(super) fn forget_alerts(&mut self) {
        self.alerts.clear();
        self.sinks.clear();
    }

    /// Leaves the pipelines as they are shipped.
    pub(super) fn forget_pipelines(&mut self) {
        self.pipelines.clear();
    }

    /// Reads one entry of the list `list`.
    pub(super) fn read(
        &mut self,
        list: &str,
        entry: &Spanned<DeValue<'_>>,
        at: &impl Fn(usize) -> Place,
    ) -> Result<(), Error> {
        let fields = |list| Fields { list, entry, at };
        let count = match list {
            "alert" => {
                known_keys(entry, list, &RuleDraft::KEYS, at)?;
                let fields = fields("alert");
                self.alerts.push(fields.placed(rule(&fields)?));
                self.alerts.len()
            }
            "sink" => {
                known_keys(entry, list, &SinkDraft::KEYS, at)?;
                let fields = fields("sink");
                self.sinks.push(fields.placed(sink(&fields)?));
                self.sinks.len()
            }
            _ => {
                known_keys(entry, list, &PIPELINE_KEYS, at)?;
                let fields = fields("pipeline");
                self.pipelines.push(fields.placed(pipeline(&fields)?));
                self.pipelines.len()
            }
        };
        if count > ENTRIES_MAX {
            return Err(Error::ValueInvalid {
                place: at(entry.span().start),
                key: list.to_owned(),
                value: count.to_string(),
                expected: format!("at most {ENTRIES_MAX} entries"),
            });
        }
        Ok(())
    }
}

fn rule(fields: &Fields<'_, impl Fn(usize) -> Place>) -> Result<RuleDraft, Error> {
    let mut types = fields.texts("types")?.unwrap_or_default();
    types.extend(fields.text("type")?);
    Ok(RuleDraft {
        name: fields.text("name")?.unwrap_or_default(),
        types,
        when: fields.text("when")?.unwrap_or_default(),
        filter: fields.text("filter")?,
        severity: fields.text("severity")?,
        by_key: fields.yes("by_key")?,
        dedup: fields.text("dedup")?,
        subscription: fields.text("subscription")?,
        sinks: fields.texts("sinks")?,
        enabled: fields.yes("enabled")?.unwrap_or(true),
    })
}

fn sink(fields: &Fields<'_, impl Fn(usize) -> Place>) -> Result<SinkDraft, Error> {
    Ok(SinkDraft {
        name: fields.text("name")?.unwrap_or_default(),
        log: fields.yes("log")?.unwrap_or(false),
        file: fields.text("file")?,
        command: fields.text("command")?,
        webhook: fields.text("webhook")?,
        ca: fields.text("ca")?,
        form: fields.text("form")?,
        resolved: fields.yes("resolved")?.unwrap_or(false),
    })
}

fn pipeline(fields: &Fields<'_, impl Fn(usize) -> Place>) -> Result<PipelineDraft, Error> {
    Ok(PipelineDraft {
        name: fields.text("name")?.unwrap_or_default(),
        key: fields.text("key")?,
        steps: fields.texts("steps")?,
        limits: fields.table("limits")?,
    })
}

impl<T> Placed<T> {
    fn place_of(&self, key: &str) -> Place {
        let own = self.keys.get(key).or(self.place.as_ref());
        own.cloned().unwrap_or(Place::Flag)
    }

    fn invalid(&self, list: &str, key: &str, value: &str, expected: impl Into<String>) -> Error {
        Error::ValueInvalid {
            place: self.place_of(key),
            key: format!("{list}.{key}"),
            value: value.chars().take(200).collect(),
            expected: expected.into(),
        }
    }

    fn refused(&self, list: &str, refused: &Refused) -> Error {
        // `type` may have been written as `types`.
        let key = match refused.key {
            "type" if self.keys.contains_key("types") => "types",
            key => key,
        };
        self.invalid(list, key, &refused.value, refused.expected.clone())
    }
}

impl Config {
    /// The alert rules in force: the catalog's presets, with what the file adds, replaces by name or
    /// switches off.
    ///
    /// # Errors
    /// [`Error::ValueInvalid`] naming line, value and the nearest valid one.
    pub fn alert_rules(&self, catalog: &Catalog) -> Result<AlertRules, Error> {
        let sinks = self.sinks()?;
        let names: Vec<String> = sinks.iter().map(|sink| sink.name.clone()).collect();
        let mut rules = presets(catalog);
        let mut own: Vec<&str> = Vec::new();
        for placed in &self.watching.alerts {
            let draft = &placed.item;
            if own.contains(&draft.name.as_str()) {
                return Err(placed.invalid("alert", "name", &draft.name, "each name once"));
            }
            own.push(&draft.name);
            let preset = rules.iter().position(|rule| rule.name == draft.name);
            if !draft.enabled {
                self.switch_off(placed, &mut rules, preset)?;
                continue;
            }
            let origin = RuleOrigin::File(placed.place_of("").to_string());
            let rule = draft
                .checked(catalog, &names, origin)
                .map_err(|refused| placed.refused("alert", &refused))?;
            match preset {
                Some(at) => rules[at] = rule,
                None => rules.push(rule),
            }
        }
        let alerts = &self.settings.alerts;
        Ok(AlertRules {
            rules,
            sinks,
            look_back: alerts.look_back,
            resolve_after: alerts.resolve_after,
            send: SendRules {
                attempts: alerts.attempts,
                timeout: alerts.send_limit,
                first: alerts.backoff_first,
                most: alerts.backoff_most,
                home: self.home.root().to_path_buf(),
            },
        })
    }

    fn switch_off(
        &self,
        placed: &Placed<RuleDraft>,
        rules: &mut Vec<Rule>,
        preset: Option<usize>,
    ) -> Result<(), Error> {
        let name = &placed.item.name;
        if let Some(at) = preset {
            rules.remove(at);
            return Ok(());
        }
        // A rule of the file that is written out and switched off is a rule at rest.
        if !placed.item.when.is_empty() {
            return Ok(());
        }
        let nearest = nearest_words(name, rules.iter().map(|rule| rule.name.as_str()));
        let nearest = nearest.map(|nearest| format!("; the nearest is `{nearest}`"));
        let expected = format!("the name of a preset{}", nearest.unwrap_or_default());
        Err(placed.invalid("alert", "name", name, expected))
    }

    /// The names of the sinks that there are; none where the file's cannot be read.
    pub(super) fn sink_names(&self) -> Option<Vec<String>> {
        let sinks = self.sinks().ok()?;
        Some(sinks.into_iter().map(|sink| sink.name).collect())
    }

    fn sinks(&self) -> Result<Vec<Sink>, Error> {
        let mut sinks = vec![log_sink()];
        for placed in &self.watching.sinks {
            let sink = placed
                .item
                .checked(self.home.root())
                .map_err(|refused| placed.refused("sink", &refused))?;
            match sinks.iter().position(|other| other.name == sink.name) {
                // The first is the log's, which the file may replace.
                Some(0) => sinks[0] = sink,
                Some(_) => {
                    return Err(placed.invalid("sink", "name", &sink.name, "each name once"));
                }
                None => sinks.push(sink),
            }
        }
        Ok(sinks)
    }

    /// Every pipeline: the built-in one, with what the file adds to it, and the file's own.
    ///
    /// # Errors
    /// [`Error::ValueInvalid`] naming line, value and the nearest valid one.
    pub fn pipelines(&self, catalog: &Catalog) -> Result<Vec<Pipeline>, Error> {
        let mut pipelines = vec![catalog.pipeline().clone()];
        for placed in &self.watching.pipelines {
            let draft = &placed.item;
            let standing = pipelines.iter().position(|one| one.name() == draft.name);
            let mut pipeline = match (standing, &draft.steps) {
                (Some(0), None) => pipelines[0].clone(),
                (Some(0), Some(_)) => {
                    let expected = "another name: the steps of this one are built in";
                    return Err(placed.invalid("pipeline", "name", &draft.name, expected));
                }
                (Some(_), _) => {
                    return Err(placed.invalid("pipeline", "name", &draft.name, "each name once"));
                }
                (None, None) => {
                    let expected = format!("`{RINGRIFT_PIPELINE}`, or `steps` for one of your own");
                    return Err(placed.invalid("pipeline", "name", &draft.name, expected));
                }
                (None, Some(names)) => self.own_pipeline(placed, names, catalog)?,
            };
            if let Some(field) = &draft.key {
                pipeline = pipeline.keyed_by(field);
            }
            for limit in &draft.limits {
                pipeline = limited(pipeline, limit, catalog)?;
            }
            match standing {
                Some(at) => pipelines[at] = pipeline,
                None => pipelines.push(pipeline),
            }
        }
        Ok(pipelines)
    }

    fn own_pipeline(
        &self,
        placed: &Placed<PipelineDraft>,
        names: &[String],
        catalog: &Catalog,
    ) -> Result<Pipeline, Error> {
        let name = &placed.item.name;
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
            let expected = "a name of letters, digits, `-`, `_` and `.`";
            return Err(placed.invalid("pipeline", "name", name, expected));
        }
        if names.len() < 2 || names.len() > STEPS_MAX {
            let count = names.len().to_string();
            let expected = format!("2 to {STEPS_MAX} steps");
            return Err(placed.invalid("pipeline", "steps", &count, expected));
        }
        let mut steps: Vec<EventType> = Vec::new();
        for step in names {
            let known = catalog.resolve(step).map_err(|error| {
                placed.invalid("pipeline", "steps", step, error.expected_type())
            })?;
            if steps.contains(&known.event_type) {
                return Err(placed.invalid("pipeline", "steps", step, "each step once"));
            }
            if !known.bridged {
                let expected = "a bridged type: events of a volatile one are in no log";
                return Err(placed.invalid("pipeline", "steps", step, expected));
            }
            steps.push(known.event_type.clone());
        }
        Ok(Pipeline::new(
            name,
            crate::catalog::types::CONFIG_KEY,
            steps,
        ))
    }
}

fn limited(
    pipeline: Pipeline,
    (step, time, place): &(String, String, Place),
    catalog: &Catalog,
) -> Result<Pipeline, Error> {
    let invalid = |value: &str, expected: String| Error::ValueInvalid {
        place: place.clone(),
        key: format!("pipeline.limits.{step}"),
        value: value.to_owned(),
        expected,
    };
    let later: Vec<String> = pipeline
        .steps()
        .iter()
        .skip(1)
        .map(EventType::constant)
        .collect();
    let known = catalog.resolve(step).ok();
    let index = known.and_then(|known| {
        Some((
            known.event_type.clone(),
            pipeline.index_of(&known.event_type)?,
        ))
    });
    let Some((event_type, 1..)) = index else {
        let nearest = nearest_words(step, later.iter().map(String::as_str));
        let nearest = nearest.map(|nearest| format!("; the nearest is `{nearest}`"));
        let list = later.join(", ");
        let expected = format!(
            "a step after the first ({list}){}",
            nearest.unwrap_or_default()
        );
        return Err(invalid(step, expected));
    };
    let limit = <Duration as Value>::read(time).filter(|limit| !limit.is_zero());
    let limit = limit.ok_or_else(|| invalid(time, "a time such as `6h`".to_owned()))?;
    Ok(pipeline.with_limit(&event_type, limit))
}
