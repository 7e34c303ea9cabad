//! A decoder that takes notes.

use bytes::Bytes;

use super::{Field, records};
use crate::decoder::Decoder;
use crate::error::ProtocolError;
use crate::messages::{ApiKey, ErrorCode};
use crate::records::Records;
use crate::walker::{Tags, Walked, Walker};
use crate::{Str, Uuid};

/// How much of a string or of bytes a value shows.
const SHOWN: usize = 64;

pub(super) struct Explainer {
    decoder: Decoder,
    /// Complete, outermost.
    fields: Vec<Field>,
    /// Begun and not ended, outermost first.
    open: Vec<Field>,
    flexible: bool,
    /// Where a struct began that tells first whether it is there.
    marker: Option<usize>,
}

impl Explainer {
    pub(super) fn new(bytes: Bytes) -> Explainer {
        let decoder = Decoder::new(bytes);
        Explainer { decoder, fields: Vec::new(), open: Vec::new(), flexible: false, marker: None }
    }

    pub(super) fn position(&self) -> usize {
        self.decoder.position()
    }

    pub(super) fn check_end(&self) -> Walked {
        self.decoder.finish()
    }

    /// What was understood. After an error some fields are still open; they end where it happened.
    pub(super) fn into_fields(mut self) -> Vec<Field> {
        self.close_all();
        self.fields
    }

    /// Reads a varint outside any message.
    pub(super) fn varint(&mut self, name: &str) -> Result<u32, ProtocolError> {
        let start = self.position();
        let value = self.decoder.unsigned_varint()?;
        self.leaf(name, "UNSIGNED_VARINT", start, value.to_string());
        Ok(value)
    }

    fn siblings(&mut self) -> &mut Vec<Field> {
        match self.open.last_mut() {
            Some(parent) => &mut parent.children,
            None => &mut self.fields,
        }
    }

    /// An element has no name of its own but its index.
    fn named(&mut self, name: &str) -> String {
        if name.is_empty() { format!("[{}]", self.siblings().len()) } else { name.to_owned() }
    }

    fn leaf(&mut self, name: &str, kind: &'static str, start: usize, value: String) {
        let name = self.named(name);
        let span = start..self.position();
        self.siblings().push(Field { name, kind, value, span, children: Vec::new() });
    }

    fn begin(&mut self, name: &str, kind: &'static str, start: usize, value: String) {
        let name = self.named(name);
        self.open.push(Field { name, kind, value, span: start..start, children: Vec::new() });
    }

    fn end(&mut self) {
        if let Some(mut field) = self.open.pop() {
            field.span.end = self.position();
            self.siblings().push(field);
        }
    }

    fn close_all(&mut self) {
        while !self.open.is_empty() {
            self.end();
        }
    }

    fn kind(&self, plain: &'static str, compact: &'static str) -> &'static str {
        if self.flexible { compact } else { plain }
    }
}

fn text(value: Option<&Str>) -> String {
    match value {
        None => "null".to_owned(),
        Some(value) if value.chars().count() > SHOWN => {
            let shown: String = value.chars().take(SHOWN).collect();
            format!("{shown:?}… ({} bytes)", value.len())
        }
        Some(value) => format!("{value:?}"),
    }
}

/// A quota's value: as people write one, or its bits where that would take more than nine places. The standard library's way
/// from any number to its shortest digits weighs more in the page than all messages with such a field.
fn decimal(value: f64) -> String {
    let mut scale = 1u32;
    for places in 0..=9 {
        let scaled = (value * f64::from(scale)).round();
        // Beyond 2⁵³ whole numbers have gaps.
        if scaled.abs() <= 9_007_199_254_740_992.0 && scaled / f64::from(scale) == value {
            let (digits, sign) = ((scaled as i64).unsigned_abs(), if scaled < 0.0 { "-" } else { "" });
            let (whole, rest) = (digits / u64::from(scale), digits % u64::from(scale));
            return if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{rest:0places$}") };
        }
        scale = if places < 9 { scale * 10 } else { scale };
    }
    format!("{:#018x}", value.to_bits())
}

fn blob(value: Option<&Bytes>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| format!("{} bytes", value.len()))
}

macro_rules! number {
    ($($type:ident, $kind:literal);*) => {$(
        fn $type(&mut self, name: &'static str, value: &mut $type) -> Walked {
            let start = self.position();
            self.decoder.$type(name, value)?;
            self.leaf(name, $kind, start, value.to_string());
            Ok(())
        }
    )*};
}

impl Walker for Explainer {
    fn reads(&self) -> bool {
        true
    }

    fn begin_message(&mut self, name: &'static str, flexible: bool) {
        self.close_all();
        self.flexible = flexible;
        self.decoder.begin_message(name, flexible);
        self.begin(name, "MESSAGE", self.position(), String::new());
    }

    fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
        self.decoder.set_flexible(flexible);
    }

    number!(bool, "BOOLEAN"; i8, "INT8"; u16, "UINT16"; i32, "INT32"; u32, "UINT32"; i64, "INT64");

    fn f64(&mut self, name: &'static str, value: &mut f64) -> Walked {
        let start = self.position();
        self.decoder.f64(name, value)?;
        self.leaf(name, "FLOAT64", start, decimal(*value));
        Ok(())
    }

    fn uuid(&mut self, name: &'static str, value: &mut Uuid) -> Walked {
        let start = self.position();
        self.decoder.uuid(name, value)?;
        self.leaf(name, "UUID", start, value.to_string());
        Ok(())
    }

    fn i16(&mut self, name: &'static str, value: &mut i16) -> Walked {
        let start = self.position();
        self.decoder.i16(name, value)?;
        let meaning = match name {
            "ErrorCode" => Some(ErrorCode::from_code(*value)).filter(|it| it.code() == *value).map(ErrorCode::name),
            "RequestApiKey" => ApiKey::try_from(*value).ok().map(ApiKey::name),
            _ => None,
        };
        self.leaf(name, "INT16", start, meaning.map_or(value.to_string(), |meaning| format!("{value} {meaning}")));
        Ok(())
    }

    fn string(&mut self, name: &'static str, value: &mut Str) -> Walked {
        let start = self.position();
        self.decoder.string(name, value)?;
        self.leaf(name, self.kind("STRING", "COMPACT_STRING"), start, text(Some(value)));
        Ok(())
    }

    fn nullable_string(&mut self, name: &'static str, value: &mut Option<Str>, nullable: bool) -> Walked {
        let start = self.position();
        self.decoder.nullable_string(name, value, nullable)?;
        self.leaf(name, self.kind("NULLABLE_STRING", "COMPACT_NULLABLE_STRING"), start, text(value.as_ref()));
        Ok(())
    }

    fn bytes(&mut self, name: &'static str, value: &mut Bytes) -> Walked {
        let start = self.position();
        self.decoder.bytes(name, value)?;
        self.leaf(name, self.kind("BYTES", "COMPACT_BYTES"), start, blob(Some(value)));
        Ok(())
    }

    fn nullable_bytes(&mut self, name: &'static str, value: &mut Option<Bytes>, nullable: bool) -> Walked {
        let start = self.position();
        self.decoder.nullable_bytes(name, value, nullable)?;
        self.leaf(name, self.kind("NULLABLE_BYTES", "COMPACT_NULLABLE_BYTES"), start, blob(value.as_ref()));
        Ok(())
    }

    fn records(&mut self, name: &'static str, value: &mut Option<Records>, nullable: bool) -> Walked {
        let start = self.position();
        self.decoder.records(name, value, nullable)?;
        let size = value.as_ref().map(Records::size);
        let shown = size.map_or_else(|| "null".to_owned(), |size| format!("{size} bytes"));
        self.begin(name, self.kind("RECORDS", "COMPACT_RECORDS"), start, shown);
        let end = self.position();
        // The message is whole even if its records are not, so their error is a field here.
        let (fields, error) = records::explain(self.decoder.buffer(), end - size.unwrap_or(0)..end);
        let understood = fields.last().map_or(end - size.unwrap_or(0), |last| last.span.end);
        self.siblings().extend(fields);
        if let Some(error) = error {
            self.leaf("not understood", "BYTES", understood, error.to_string());
        }
        self.end();
        Ok(())
    }

    fn begin_array(
        &mut self,
        name: &'static str,
        count: Option<usize>,
        nullable: bool,
        element_size: usize,
    ) -> Result<Option<usize>, ProtocolError> {
        let start = self.position();
        let count = self.decoder.begin_array(name, count, nullable, element_size)?;
        let kind = self.kind("ARRAY", "COMPACT_ARRAY");
        match count {
            Some(1) => self.begin(name, kind, start, "1 element".to_owned()),
            Some(count) => self.begin(name, kind, start, format!("{count} elements")),
            None => self.leaf(name, kind, start, "null".to_owned()),
        }
        Ok(count)
    }

    fn end_array(&mut self) {
        self.end();
    }

    fn begin_struct(&mut self, name: &'static str) {
        let start = self.marker.take().unwrap_or(self.position());
        self.begin(name, "STRUCT", start, String::new());
    }

    fn end_struct(&mut self) {
        self.end();
    }

    fn presence(&mut self, name: &'static str, present: bool, nullable: bool) -> Result<bool, ProtocolError> {
        let start = self.position();
        let present = self.decoder.presence(name, present, nullable)?;
        self.present(name, present, start)
    }

    fn tagged_presence(&mut self, name: &'static str, present: bool) -> Result<bool, ProtocolError> {
        let start = self.position();
        let present = self.decoder.tagged_presence(name, present)?;
        self.present(name, present, start)
    }

    fn begin_tags(&mut self, present: u32) -> Result<Tags, ProtocolError> {
        let start = self.position();
        let mut tags = self.decoder.begin_tags(present)?;
        let count = tags.count.to_string();
        if tags.count == 0 {
            self.leaf("_tagged_fields", "TAGGED_FIELDS", start, count);
        } else {
            self.begin("_tagged_fields", "TAGGED_FIELDS", start, count);
            // A reader has no use for it: here it says that there is a field to end.
            tags.left = 1;
        }
        Ok(tags)
    }

    fn next_tag(&mut self, tags: &mut Tags, known: u32) -> Result<Option<u32>, ProtocolError> {
        if tags.open.is_some() {
            self.end();
        }
        let mut start = self.position();
        let mut unknown = Vec::new();
        let tag = self.decoder.next_known_tag(tags, known, &mut |tag, span, content| {
            start = span.end;
            let value = format!("unknown, {} bytes", content.len());
            unknown.push(Field { name: format!("tag {tag}"), kind: "TAG", value, span, children: Vec::new() });
        });
        self.siblings().append(&mut unknown);
        let tag = tag?;
        match tag {
            Some(tag) => self.begin(&format!("tag {tag}"), "TAG", start, String::new()),
            None if tags.left == 1 => self.end(),
            None => {}
        }
        Ok(tag)
    }
}

impl Explainer {
    /// A struct that is there begins where its marker does.
    fn present(&mut self, name: &'static str, present: bool, start: usize) -> Result<bool, ProtocolError> {
        if present {
            self.marker = Some(start);
        } else {
            self.leaf(name, "STRUCT", start, "null".to_owned());
        }
        Ok(present)
    }
}

#[cfg(test)]
mod tests {
    use super::decimal;

    #[test]
    fn a_number_reads_as_people_write_it_or_as_its_bits() {
        let read = [0.0, -0.0, 1.0, -12.5, 0.1, 33.3, 1_048_576.0, 0.000_000_001, 1e15, -0.007, 123_456.789];
        for (value, expected) in read.into_iter().zip([
            "0",
            "0",
            "1",
            "-12.5",
            "0.1",
            "33.3",
            "1048576",
            "0.000000001",
            "1000000000000000",
            "-0.007",
            "123456.789",
        ]) {
            assert_eq!(decimal(value), expected);
        }
        for value in [f64::NAN, f64::INFINITY, 1e300, 1.0 / 3.0, 1e-12, f64::MIN_POSITIVE] {
            assert_eq!(decimal(value), format!("{:#018x}", value.to_bits()));
        }
    }
}
