//! `ringrift types add`: a type of the user's own, for every process of the home.

use clap::{Args as ClapArgs, ValueEnum};
use ringrift_events::catalog::{
    DeclaredIn, Difference, Error as CatalogError, RequiredPolicy, TypeDeclaration, TypeEntry,
};
use ringrift_events::store::registry::DeclaredType;
use serde::Serialize;

use super::row::TypeRow;
use crate::call::Call;
use crate::failure::{Done, Error, Stop};
use crate::open;
use crate::output::{Report, Text};

/// The arguments of `types add`.
#[derive(ClapArgs, Debug)]
#[command(
    after_help = "Examples:\n  ringrift types add AUDIT_DONE --required config_key --policy reject\n  ringrift types add GPU_HEARTBEAT --volatile --category monitoring\n  ringrift types add EXPORT_FAILED --alert '>3/1h'\n\nThe type is written to ringrift.toml and kept in the store's catalog, so that every process\nknows it. Adding the same again changes nothing; a different declaration is refused."
)]
pub(crate) struct Args {
    /// Its name: constant (AUDIT_DONE) or canonical value (audit_done).
    #[arg(value_name = "NAME")]
    name: String,

    /// What it is about, in one word.
    #[arg(long, value_name = "WORD")]
    category: Option<String>,

    /// Its events stay in the publishing process.
    #[arg(long)]
    volatile: bool,

    /// A payload field it must carry; may be repeated.
    #[arg(long, value_name = "FIELD")]
    required: Vec<String>,

    /// What happens to a publish without them.
    #[arg(long, value_enum, requires = "required", value_name = "POLICY")]
    policy: Option<Policy>,

    /// The payload field that keys its events.
    #[arg(long, value_name = "FIELD")]
    key_field: Option<String>,

    /// When it raises an alert: any, or >3/1h.
    #[arg(long, value_name = "RULE")]
    alert: Option<String>,
}

/// What happens to a publish without a required field.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Policy {
    /// Nothing.
    Off,
    /// It goes through with a warning.
    Warn,
    /// It is refused.
    Reject,
}

#[derive(Serialize)]
struct Added {
    #[serde(rename = "type")]
    entry: TypeRow,
    new: bool,
    config: String,
}

/// Adds it.
pub(crate) fn run(call: &Call, args: &Args) -> Done {
    let declaration = declaration(args)?;
    let config = open::config(call)?;
    let store = open::writing(call)?;
    let catalog = open::catalog_with(call, &*store)?;
    let standing = catalog.resolve(&args.name).ok();
    if let Some(standing) = standing.as_deref().filter(|_| args.volatile) {
        refuse_other_rule(standing)?;
    }
    let known = standing.is_some();
    let entry = catalog.declare(&declaration, DeclaredIn::Code)?;
    if !known {
        let kept = DeclaredType {
            value: entry.event_type.to_string(),
            declaration: entry.declaration_text(),
        };
        store.declare_types(vec![kept]).wait()?;
        append(&config.home.config_file(), &declaration)?;
    }
    call.answer(
        "types add",
        &Added {
            entry: TypeRow::of(&entry),
            new: !known,
            config: config.home.config_file().display().to_string(),
        },
    )
}

/// Processes may differ in the bridge rule, and so a declaration that differs in nothing else
/// changes nothing here: whoever asked for another rule must know.
fn refuse_other_rule(standing: &TypeEntry) -> Result<(), Stop> {
    if !standing.bridged {
        return Ok(());
    }
    Err(CatalogError::TypeDiffers {
        event_type: standing.event_type.clone(),
        standing_in: standing.declared_in,
        declared_in: DeclaredIn::Code,
        differences: vec![Difference {
            field: "volatile",
            standing: "false".to_owned(),
            declared: "true".to_owned(),
        }],
    }
    .into())
}

fn declaration(args: &Args) -> Result<TypeDeclaration, Stop> {
    let alert = args
        .alert
        .as_deref()
        .map(str::parse)
        .transpose()
        .map_err(|why| Error::Input {
            what: "--alert".to_owned(),
            why,
            next: "ringrift types add --help",
        })?;
    Ok(TypeDeclaration {
        category: args.category.clone(),
        volatile: args.volatile.then_some(true),
        required: (!args.required.is_empty()).then(|| args.required.clone()),
        required_policy: args.policy.map(|policy| match policy {
            Policy::Off => RequiredPolicy::Off,
            Policy::Warn => RequiredPolicy::Warn,
            Policy::Reject => RequiredPolicy::Reject,
        }),
        key_field: args.key_field.clone(),
        alert,
        ..TypeDeclaration::new(args.name.clone())
    })
}

/// Adds a `[[types]]` table at the file's end, in one write.
fn append(file: &std::path::Path, declaration: &TypeDeclaration) -> Result<(), Stop> {
    use std::io::Write;
    let mut text = String::from("\n[[types]]\n");
    // A declaration's JSON values (texts, booleans, lists of texts) are written the same in TOML.
    let fields = serde_json::to_value(declaration).unwrap_or_default();
    for (name, value) in fields.as_object().into_iter().flatten() {
        text.push_str(&format!("{name} = {value}\n"));
    }
    std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(file)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|source| {
            Stop::from(Error::Io {
                what: format!(
                    "the store's catalog has the type, but {} cannot be written",
                    file.display()
                ),
                source,
            })
        })
}

impl Report for Added {
    fn write(&self, text: &mut Text) {
        if self.new {
            text.line(format!(
                "{} is added to {}",
                self.entry.constant, self.config
            ));
        } else {
            text.line(format!("{} was declared so already", self.entry.constant));
        }
    }
}
