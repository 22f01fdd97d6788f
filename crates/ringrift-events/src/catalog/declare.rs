//! The types that users add.

use std::sync::Arc;

use super::error::{Difference, Error};
use super::types::canonical_name;
use super::{Catalog, DeclaredIn, TypeDeclaration, TypeEntry};
use crate::event::EventType;

/// Most types of a catalog: each costs every process memory and a line of its catalog's text.
pub const TYPES_MAX: usize = 10_000;

impl Catalog {
    /// Adds a type, or declares a known one again.
    ///
    /// Declaring the same again changes nothing, except the bridge rule if it is given: that alone
    /// may differ by process. On a type that came with this version, `ringrift.toml` may amend
    /// what it names (a home's file speaks for all its processes); code may not.
    ///
    /// # Errors
    /// [`Error::TypeDiffers`] with each difference; [`Error::TypeNameInvalid`];
    /// [`Error::TypesTooMany`] above [`TYPES_MAX`]. Nothing changes then.
    ///
    /// ```
    /// use ringrift_events::catalog::{Catalog, DeclaredIn, TypeDeclaration};
    /// let catalog = Catalog::ringrift();
    /// let entry = catalog.declare(&TypeDeclaration::new("AUDIT_DONE"), DeclaredIn::Code)?;
    /// assert!(entry.bridged);
    /// assert_eq!(catalog.resolve("audit_done")?, entry);
    /// # Ok::<(), ringrift_events::catalog::Error>(())
    /// ```
    pub fn declare(
        &self,
        declaration: &TypeDeclaration,
        declared_in: DeclaredIn,
    ) -> Result<Arc<TypeEntry>, Error> {
        let event_type = EventType::from_canonical(&canonical_name(&declaration.name)?);
        let known = self.types().len();
        self.change(|types| {
            let standing = types.get(&event_type).cloned();
            let entry = match &standing {
                None if known >= TYPES_MAX => {
                    return Err(Error::TypesTooMany { max: TYPES_MAX });
                }
                None => declaration.entry(None, declared_in)?,
                Some(standing) => again(standing, declaration, declared_in)?,
            };
            if standing.as_deref() != Some(&entry) {
                types.put(entry.clone());
            }
            Ok(Arc::new(entry))
        })
    }

    /// Adds the types that other processes declared, as the store's catalog keeps them
    /// ([`TypeEntry::declaration_text`]). The bridge rule is this process's own: bridged unless it
    /// says otherwise.
    ///
    /// # Errors
    /// As [`Catalog::declare`]; [`Error::DeclarationUnreadable`] if the text is none.
    pub fn learn(&self, value: &str, declaration: &str) -> Result<Arc<TypeEntry>, Error> {
        let declaration: TypeDeclaration =
            serde_json::from_str(declaration).map_err(|error| Error::DeclarationUnreadable {
                value: value.to_owned(),
                reason: error.to_string(),
            })?;
        self.declare(&declaration, DeclaredIn::Store)
    }

    /// The types that users of this process declared and that the store's catalog is to know:
    /// canonical value and [`TypeEntry::declaration_text`].
    #[must_use]
    pub fn declared(&self) -> Vec<(String, String)> {
        self.types()
            .iter()
            .filter(|entry| !entry.shipped && entry.declared_in != DeclaredIn::Store)
            .map(|entry| {
                (
                    entry.event_type.as_str().to_owned(),
                    entry.declaration_text(),
                )
            })
            .collect()
    }

    /// Changes a type's bridge rule for this process. Says whether the type is known.
    pub fn set_bridged(&self, event_type: &EventType, bridged: bool) -> bool {
        self.change(|types| {
            let Some(standing) = types.get(event_type).cloned() else {
                return false;
            };
            if standing.bridged != bridged {
                types.put(TypeEntry {
                    bridged,
                    ..standing.as_ref().clone()
                });
            }
            true
        })
    }
}

/// The entry that stands after `standing` is declared again.
fn again(
    standing: &TypeEntry,
    declaration: &TypeDeclaration,
    declared_in: DeclaredIn,
) -> Result<TypeEntry, Error> {
    if standing.shipped {
        let amended = declaration.entry(Some(standing), declared_in)?;
        let first = standing.declared_in == DeclaredIn::RingRift;
        if first && declared_in == DeclaredIn::Config {
            return Ok(TypeEntry {
                declared_in,
                ..amended
            });
        }
        return agree(standing, &amended, declared_in);
    }
    agree(
        standing,
        &declaration.entry(None, declared_in)?,
        declared_in,
    )
    .map(|entry| TypeEntry {
        // A declaration that leaves the bridge rule out does not change it.
        bridged: declaration
            .volatile
            .map_or(standing.bridged, |volatile| !volatile),
        ..entry
    })
}

fn agree(
    standing: &TypeEntry,
    declared: &TypeEntry,
    declared_in: DeclaredIn,
) -> Result<TypeEntry, Error> {
    let differences = differences(standing, declared);
    if differences.is_empty() {
        return Ok(TypeEntry {
            bridged: declared.bridged,
            // What this process itself says outlives what it only learnt.
            declared_in: match standing.declared_in {
                DeclaredIn::Store => declared_in,
                own @ (DeclaredIn::RingRift | DeclaredIn::Config | DeclaredIn::Code) => own,
            },
            ..standing.clone()
        });
    }
    Err(Error::TypeDiffers {
        event_type: standing.event_type.clone(),
        standing_in: standing.declared_in,
        declared_in,
        differences,
    })
}

fn differences(standing: &TypeEntry, declared: &TypeEntry) -> Vec<Difference> {
    let sides = |entry: &TypeEntry| {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        [
            ("category", entry.category.clone()),
            ("required", format!("{:?}", entry.required)),
            (
                "required_policy",
                format!("{:?}", entry.required_policy).to_lowercase(),
            ),
            ("key_field", or_none(entry.key_field.clone())),
            ("alert", or_none(entry.alert.map(|rule| rule.to_string()))),
        ]
    };
    sides(standing)
        .into_iter()
        .zip(sides(declared))
        .filter(|(standing, declared)| standing != declared)
        .map(|((field, standing), (_, declared))| Difference {
            field,
            standing,
            declared,
        })
        .collect()
}
