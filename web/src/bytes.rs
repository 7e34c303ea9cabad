//! Bytes for people: every field of a message or of a batch by name, with its place.

use bytes::Bytes;
use protocol::ApiKey;
use protocol::explain::{self, Explanation, Field};
use protocol::messages::spoken;
use protocol::records::PureCompressors;

/// Fields that are shown at most.
const ROWS: usize = 400;
/// Bytes of a field that are shown at most.
const SHOWN: usize = 8;
/// The most that a batch of the lab may decompress to.
const LIMIT: usize = 1 << 22;

/// A field and its bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Row {
    /// In how many others it is.
    pub(crate) depth: usize,
    /// Kafka's name of it, of its type, and what it says.
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) value: String,
    /// The place of its first byte, and of the first that is not its any more.
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// Its first bytes in hexadecimal digits; nothing for what only holds others.
    pub(crate) hex: String,
}

/// A request's frame by field.
pub(crate) fn of_request(frame: Bytes) -> Vec<Row> {
    rows(&explain::request(frame, spoken))
}

/// An answer's frame by field.
pub(crate) fn of_response(api: ApiKey, version: i16, frame: Bytes) -> Vec<Row> {
    rows(&explain::response(api, version, frame, spoken))
}

/// A batch by field. What is compressed follows in plain, at places of its own.
pub(crate) fn of_batch(batch: &Bytes) -> Vec<Row> {
    let whole = explain::batches(batch.clone());
    let mut rows = rows(&whole);
    let is_compressed = rows.iter().any(|it| it.kind == "COMPRESSED");
    if let Some(plain) = is_compressed.then(|| explain::records_inside(batch, &PureCompressors, LIMIT).ok()).flatten() {
        rows.extend(self::rows(&plain));
    }
    rows
}

fn rows(of: &Explanation) -> Vec<Row> {
    let mut rows = Vec::new();
    for field in &of.fields {
        add(field, 0, &of.bytes, &mut rows);
    }
    if let Some(error) = &of.error {
        rows.push(Row { name: "no further".to_owned(), value: error.to_string(), ..Row::default() });
    }
    rows
}

fn add(field: &Field, depth: usize, bytes: &[u8], rows: &mut Vec<Row>) {
    if rows.len() >= ROWS {
        return;
    }
    let of = bytes.get(field.span.clone()).unwrap_or_default();
    let hex = if field.children.is_empty() { hex(of) } else { String::new() };
    let (name, kind, value) = (field.name.clone(), field.kind, field.value.clone());
    rows.push(Row { depth, name, kind, value, from: field.span.start, to: field.span.end, hex });
    for child in &field.children {
        add(child, depth + 1, bytes, rows);
    }
}

/// `00001fe2 07…`
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(3 * SHOWN);
    for (index, byte) in bytes.iter().take(SHOWN).enumerate() {
        if index > 0 && index % 4 == 0 {
            text.push(' ');
        }
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    if bytes.len() > SHOWN {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_digits_and_long_ones_are_cut() {
        assert_eq!((hex(&[]), hex(&[0, 31, 226])), (String::new(), "001fe2".to_owned()));
        assert_eq!(hex(&[7; 9]), "07070707 07070707…");
    }
}
