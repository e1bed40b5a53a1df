//! Finding one object by what a person types, and reading typed columns.

use rusqlite::types::Type;
use sampan_types::{Error, ErrorKind, Result};

/// The half-open range of ids that begin with `key`, where it can be the beginning of one: lower-case digits.
pub(crate) fn prefix_range(key: &str) -> Option<(String, String)> {
    let digits = !key.is_empty() && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    // `g` sorts behind every digit of an id.
    digits.then(|| (key.to_owned(), format!("{key}g")))
}

/// The one object found; `names` says what was found in the words for a list.
pub(crate) fn only_one<T>(object: &str, key: &str, mut found: Vec<T>, names: Vec<String>) -> Result<T> {
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(no_such(object, key)),
        _ => Err(Error::new(ErrorKind::InvalidInput, format!("{object} {key} is ambiguous"))
            .because(format!("these begin so: {}", names.join(", ")))
            .hint("more digits of the id, or a name")),
    }
}

/// The error for an object that is not there.
pub(crate) fn no_such(object: &str, key: &str) -> Error {
    let error = Error::new(ErrorKind::NotFound, format!("no such {object}: {key}"))
        .because(format!("no {object} of this engine has this name or id"));
    match object {
        "container" => error.hint("sampan ps -a lists the containers"),
        "image" => error.hint("sampan images lists the images"),
        _ => error,
    }
}

/// The first 12 digits.
pub(crate) fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

/// Parses a text column.
pub(crate) fn column<T>(name: &str, text: &str) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    text.parse().map_err(|source: T::Err| {
        let source = Error::new(ErrorKind::Internal, format!("column {name} has {text:?}")).because(source);
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(source))
    })
}
