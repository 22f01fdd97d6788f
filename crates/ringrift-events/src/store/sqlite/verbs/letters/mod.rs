//! Redeliveries as rows, and the verbs on those that failed: the dead letters.

mod act;
mod count;
mod edit;
mod list;
mod row;

pub(crate) use act::ActOnLetters;
pub(crate) use count::CountLetters;
pub(crate) use edit::EditLetter;
pub(crate) use list::ListLetters;
pub(crate) use row::{
    HELD_DEAD, NewRow, REDELIVERY_COLUMNS, event_at, insert_row, redelivery_event, why,
};
