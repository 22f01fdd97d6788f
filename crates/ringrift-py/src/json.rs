//! From what Python publishes to the bytes of one JSON object: the values that nearly every payload is
//! made of, without a call of Python's.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// How deep it goes: what lies deeper is refused by the library, in the slower writer's words.
const DEPTH_MAX: usize = 200;

/// Bytes that most payloads fit in.
const USUAL: usize = 512;

/// Writes a dict as JSON. `plain` gives, for a value that JSON does not know, one that it does, and
/// raises where there is none. Nothing where this writer does not answer for the outcome: keys that are
/// no text, numbers that are not finite or large, text that is no Unicode, what `plain` refuses.
#[pyfunction]
pub(crate) fn to_json<'py>(
    py: Python<'py>,
    payload: &Bound<'py, PyDict>,
    plain: &Bound<'py, PyAny>,
) -> Option<Bound<'py, PyBytes>> {
    let mut text = Vec::with_capacity(USUAL);
    object(&mut text, payload, plain, 0)?;
    Some(PyBytes::new(py, &text))
}

fn value(
    text: &mut Vec<u8>,
    one: &Bound<'_, PyAny>,
    plain: &Bound<'_, PyAny>,
    depth: usize,
) -> Option<()> {
    if let Ok(string) = one.cast_exact::<PyString>() {
        return quoted(text, string);
    }
    if let Ok(number) = one.cast_exact::<PyInt>() {
        return written(text, &number.extract::<i64>().ok()?);
    }
    if let Ok(number) = one.cast_exact::<PyFloat>() {
        let number = number.extract::<f64>().ok()?;
        return number.is_finite().then(|| written(text, &number))?;
    }
    if one.is_none() {
        text.extend_from_slice(b"null");
        return Some(());
    }
    if let Ok(yes) = one.cast_exact::<PyBool>() {
        return written(text, &yes.is_true());
    }
    if depth > DEPTH_MAX {
        return None;
    }
    if let Ok(dict) = one.cast_exact::<PyDict>() {
        return object(text, dict, plain, depth);
    }
    if let Ok(list) = one.cast_exact::<PyList>() {
        return array(text, list.iter(), plain, depth);
    }
    if let Ok(tuple) = one.cast_exact::<PyTuple>() {
        return array(text, tuple.iter(), plain, depth);
    }
    value(text, &plain.call1((one,)).ok()?, plain, depth + 1)
}

fn object(
    text: &mut Vec<u8>,
    dict: &Bound<'_, PyDict>,
    plain: &Bound<'_, PyAny>,
    depth: usize,
) -> Option<()> {
    text.push(b'{');
    // A view of its own: what `plain` calls might change the dict while it is read.
    for (place, (name, inner)) in dict.iter().enumerate() {
        if place > 0 {
            text.push(b',');
        }
        quoted(text, name.cast_exact::<PyString>().ok()?)?;
        text.push(b':');
        value(text, &inner, plain, depth + 1)?;
    }
    text.push(b'}');
    Some(())
}

fn array<'py>(
    text: &mut Vec<u8>,
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    plain: &Bound<'py, PyAny>,
    depth: usize,
) -> Option<()> {
    text.push(b'[');
    for (place, inner) in items.enumerate() {
        if place > 0 {
            text.push(b',');
        }
        value(text, &inner, plain, depth + 1)?;
    }
    text.push(b']');
    Some(())
}

fn quoted(text: &mut Vec<u8>, string: &Bound<'_, PyString>) -> Option<()> {
    written(text, string.to_str().ok()?)
}

fn written(text: &mut Vec<u8>, one: &(impl serde::Serialize + ?Sized)) -> Option<()> {
    serde_json::to_writer(text, one).ok()
}
