//! Bytes for people: every field of a message or of a batch by name, with its place, and how it is read.

use bytes::Bytes;
use protocol::explain::{self, Explanation, Field, Inside, Look};
use protocol::message::{Message, Schema};
use protocol::messages::*;
use protocol::records::{PureCompressors, crc32c};

/// Fields that are shown at most.
const ROWS: usize = 400;
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
}

/// Bytes, and the fields in them: each comes after the one that it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// What they are.
    pub(crate) title: &'static str,
    pub(crate) bytes: Bytes,
    pub(crate) rows: Vec<Row>,
}

/// Whether a topic, by its name or its id, is one of Kafka's own, whose records have fields.
pub(crate) type Topics<'a> = &'a dyn Fn(&str) -> Inside;

/// A request's frame by field.
pub(crate) fn of_request(frame: Bytes, topics: Topics<'_>) -> Vec<Sheet> {
    of("Its frame", explain::request(frame, spoken), topics)
}

/// An answer's frame by field.
pub(crate) fn of_response(api: ApiKey, version: i16, frame: Bytes, topics: Topics<'_>) -> Vec<Sheet> {
    of("Its frame", explain::response(api, version, frame, spoken), topics)
}

/// A batch of a topic by field. What is compressed follows in plain, at places of its own.
pub(crate) fn of_batch(batch: &Bytes, inside: Inside) -> Vec<Sheet> {
    let mut whole = explain::batches(batch.clone());
    let topic = |_: &str| inside;
    let look = look(&topic);
    explain::deepen(&mut whole, inside, &look);
    let is_compressed = whole.fields.iter().flat_map(|it| &it.children).any(|it| it.kind == "COMPRESSED");
    let mut sheets = vec![sheet("Its batch", whole)];
    if is_compressed && let Ok(mut plain) = explain::records_inside(batch, &PureCompressors, LIMIT) {
        explain::deepen(&mut plain, inside, &look);
        sheets.push(sheet("Its records, decompressed", plain));
    }
    sheets
}

fn of(title: &'static str, mut whole: Explanation, topics: Topics<'_>) -> Vec<Sheet> {
    explain::deepen(&mut whole, Inside::Plain, &look(topics));
    vec![sheet(title, whole)]
}

fn look<'a>(topic: Topics<'a>) -> Look<'a> {
    Look { topic, groups: coordinated, known: spoken }
}

/// Key and value of what a coordinator here writes down.
fn coordinated(record_type: i16) -> Option<[&'static Schema; 2]> {
    Some(match record_type {
        0 | 1 => [OffsetCommitKey::SCHEMA, OffsetCommitValue::SCHEMA],
        2 => [GroupMetadataKey::SCHEMA, GroupMetadataValue::SCHEMA],
        3 => [ConsumerGroupMetadataKey::SCHEMA, ConsumerGroupMetadataValue::SCHEMA],
        5 => [ConsumerGroupMemberMetadataKey::SCHEMA, ConsumerGroupMemberMetadataValue::SCHEMA],
        6 => [ConsumerGroupTargetAssignmentMetadataKey::SCHEMA, ConsumerGroupTargetAssignmentMetadataValue::SCHEMA],
        7 => [ConsumerGroupTargetAssignmentMemberKey::SCHEMA, ConsumerGroupTargetAssignmentMemberValue::SCHEMA],
        8 => [ConsumerGroupCurrentMemberAssignmentKey::SCHEMA, ConsumerGroupCurrentMemberAssignmentValue::SCHEMA],
        16 => [ConsumerGroupRegularExpressionKey::SCHEMA, ConsumerGroupRegularExpressionValue::SCHEMA],
        _ => return None,
    })
}

fn sheet(title: &'static str, of: Explanation) -> Sheet {
    let mut rows = Vec::new();
    for field in of.fields {
        add(field, 0, &mut rows);
    }
    if let Some(error) = &of.error {
        let end = of.bytes.len();
        rows.push(Row {
            name: "no further".to_owned(),
            value: error.to_string(),
            from: end,
            to: end,
            ..Row::default()
        });
    }
    Sheet { title, bytes: of.bytes, rows }
}

fn add(field: Field, depth: usize, rows: &mut Vec<Row>) {
    if rows.len() >= ROWS {
        return;
    }
    let Field { name, kind, value, span, children } = field;
    rows.push(Row { depth, name, kind, value, from: span.start, to: span.end });
    for child in children {
        add(child, depth + 1, rows);
    }
}

impl Sheet {
    /// Of each byte the innermost field that it is of.
    pub(crate) fn owners(&self) -> Vec<Option<usize>> {
        let mut owners = vec![None; self.bytes.len()];
        for (index, row) in self.rows.iter().enumerate() {
            if let Some(of) = owners.get_mut(row.from..row.to) {
                of.fill(Some(index));
            }
        }
        owners
    }

    /// How many of a field's first bytes are a varint.
    pub(crate) fn varint(&self, row: &Row) -> usize {
        let has = row.kind.starts_with("COMPACT_") || row.kind.contains("VARINT") || row.kind == "TAGGED_FIELDS";
        let bytes = self.bytes.get(row.from..row.to).filter(|_| has).unwrap_or_default();
        bytes.iter().position(|it| it & 0x80 == 0).map_or(0, |it| it + 1)
    }

    /// What the CRC of a batch is of: from after it to the batch's end.
    pub(crate) fn covered(&self, crc: usize) -> Option<(usize, usize)> {
        let row = self.rows.get(crc).filter(|it| it.name == "Crc")?;
        let batch = self.rows[..crc].iter().rfind(|it| it.kind == "BATCH")?;
        Some((row.to, batch.to))
    }

    /// How a field is read from its bytes, in a sentence.
    pub(crate) fn how(&self, index: usize) -> Option<String> {
        let row = self.rows.get(index)?;
        if let Some((from, to)) = self.covered(index) {
            let sum = crc32c(self.bytes.get(from..to)?);
            let is = if row.value == sum.to_string() { "it is this one" } else { "it is another" };
            return Some(format!(
                "CRC-32C of the bytes from {from} to {}, to the end of the batch: computed again {is}, {sum:08x}. The offset and the epoch before it are the leader’s to write.",
                to - 1
            ));
        }
        let digits = self.bytes.get(row.from..row.from + self.varint(row))?;
        let bits = |it: &u8| format!("{:07b}", it & 0x7f);
        let groups: Vec<String> = digits.iter().rev().map(bits).collect();
        let number = digits.iter().rev().fold(0_u64, |sum, it| sum << 7 | u64::from(it & 0x7f));
        let read = format!("Seven bits a byte, the lowest first: {} is {number}", groups.join(" "));
        let signed = (number >> 1).cast_signed() ^ -(number & 1).cast_signed();
        Some(match row.kind {
            "VARINT" => format!("{read}, and zigzag makes {signed} of it."),
            "VARINT_BYTES" => format!("{read}; zigzag makes a length of {signed} of it, and then come the bytes."),
            "UNSIGNED_VARINT" | "TAGGED_FIELDS" => format!("{read}."),
            it if it.starts_with("COMPACT_") && number == 0 => format!("{read}: null."),
            it if it.starts_with("COMPACT_") => format!("{read}: one more than there are, {}.", number - 1),
            "STRING" | "NULLABLE_STRING" => "Two bytes of length, then the text in UTF-8.".to_owned(),
            "BYTES" | "NULLABLE_BYTES" | "RECORDS" => "Four bytes of length, then the bytes.".to_owned(),
            "ARRAY" => "Four bytes say how many, then come the elements.".to_owned(),
            "UUID" => "Sixteen bytes; written in base64.".to_owned(),
            it if it.contains("INT") => "The highest byte first; two’s complement where it has a sign.".to_owned(),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &'static str, from: usize, to: usize) -> Row {
        Row { kind, from, to, ..Row::default() }
    }

    #[test]
    fn a_byte_is_of_the_innermost_field_and_varints_are_read_aloud() {
        let bytes = Bytes::from_static(&[0xd0, 0x0f, 0x03, b'a', b'b', 0x05]);
        let rows = vec![row("STRUCT", 0, 6), row("VARINT", 0, 2), row("COMPACT_STRING", 2, 5)];
        let sheet = Sheet { title: "", bytes, rows };
        assert_eq!(sheet.owners(), [Some(1), Some(1), Some(2), Some(2), Some(2), Some(0)]);
        let said = "Seven bits a byte, the lowest first: 0001111 1010000 is 2000, and zigzag makes 1000 of it.";
        assert_eq!(sheet.how(1).as_deref(), Some(said));
        let said = "Seven bits a byte, the lowest first: 0000011 is 3: one more than there are, 2.";
        assert_eq!((sheet.how(2).as_deref(), sheet.how(0)), (Some(said), None));
        assert_eq!((sheet.varint(&sheet.rows[1]), sheet.varint(&sheet.rows[0])), (2, 0));
    }

    #[test]
    fn a_batch_says_whether_its_checksum_is_right_and_of_what_it_is() {
        let mut builder = protocol::records::BatchBuilder::new(protocol::records::Compression::None);
        builder.push(protocol::WallMs(7), Some(b"eva"), Some(b"hi"), &[]);
        let good = builder.build(&PureCompressors).unwrap();
        let mut bad = good.to_vec();
        *bad.last_mut().unwrap() ^= 1;
        for (bytes, said) in [(good, "it is this one"), (Bytes::from(bad), "it is another")] {
            let sheet = of_batch(&bytes, Inside::Plain).remove(0);
            let crc = sheet.rows.iter().position(|it| it.name == "Crc").unwrap();
            assert_eq!(sheet.covered(crc), Some((21, bytes.len())));
            assert!(sheet.how(crc).unwrap().contains(said));
        }
    }
}
