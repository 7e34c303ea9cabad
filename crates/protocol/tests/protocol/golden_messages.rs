//! Every message and record in every version, against the bytes and values that Apache Kafka's own classes give it
//! (`golden/messages`), and against what real clients and a real broker said (`golden/conversations`).
#![cfg(not(target_arch = "wasm32"))] // reads its data from files
use std::collections::{BTreeMap, BTreeSet};
use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use bytes::{Buf, Bytes, BytesMut};
use protocol::encoder::Sizer;
use protocol::message::{self, AnyMessage, Message, MessageKind, Schema};
use protocol::messages::{self, RequestHeader, ResponseHeader, SCHEMAS, SPOKEN, by_key};
use protocol::records::Records;
use protocol::walker::{Tags, Walked, Walker};
use protocol::{ApiKey, Decoder, Frame, MetadataRecord, ProtocolError, RequestError, Str, Uuid, frame};
use serde_json::{Map, Value};

/// One line of a golden file.
struct Line {
    message: String,
    version: i16,
    case: String,
    bytes: Bytes,
    values: Option<Value>,
}

impl Line {
    fn schema(&self) -> Result<&'static Schema, String> {
        messages::by_name(&self.message).ok_or_else(|| "unknown message".to_owned())
    }

    fn decode(&self) -> Result<Box<dyn AnyMessage>, String> {
        message::decode_dyn(self.schema()?, self.bytes.clone(), self.version).map_err(|error| error.to_string())
    }

    fn encode(&self, message: &mut dyn AnyMessage) -> Result<BytesMut, String> {
        let mut out = BytesMut::new();
        message::encode_dyn(message, self.version, &mut out).map_err(|error| error.to_string())?;
        Ok(out)
    }
}

#[test]
fn schemas_and_golden_files_cover_the_same_versions() {
    let golden: BTreeSet<_> = lines().into_iter().map(|line| (line.message, line.version)).collect();
    let known: BTreeSet<_> = SCHEMAS
        .iter()
        .flat_map(|schema| schema.versions.clone().map(|version| (schema.name.to_owned(), version)))
        .collect();
    assert!(golden.len() > 700, "golden files are missing: {}", golden.len());
    let unwritten: Vec<_> = known.difference(&golden).collect();
    let unknown: Vec<_> = golden.difference(&known).collect();
    assert!(unwritten.is_empty() && unknown.is_empty(), "only we know {unwritten:?}\nonly Kafka knows {unknown:?}");
}

#[test]
fn kafkas_bytes_mean_what_kafka_says_and_encode_back_to_themselves() {
    verify_each(|line| {
        let Some(expected) = &line.values else {
            return Ok(());
        };
        let mut message = line.decode()?;
        same_bytes(&line.bytes, &line.encode(&mut *message)?)?;
        same_values(expected, &values(&mut *message, line.version))?;
        let mut sizer = Sizer::default();
        message::walk_dyn(&mut *message, &mut sizer, line.version).map_err(|error| error.to_string())?;
        if sizer.size() == line.bytes.len() {
            Ok(())
        } else {
            Err(format!("{} bytes sized {}", line.bytes.len(), sizer.size()))
        }
    });
}

#[test]
fn defaults_are_kafkas() {
    verify_each(|line| {
        if line.case != "default" {
            return Ok(());
        }
        same_bytes(&line.bytes, &line.encode(&mut *(line.schema()?.create)())?)
    });
}

#[test]
fn metadata_records_have_kafkas_frame() {
    let text = text(&folder("messages").join("metadata-frames.txt"));
    let mut failures = Vec::new();
    for line in text.lines() {
        let fields: Vec<_> = line.split(' ').collect();
        let &[name, version, hex] = &fields[..] else { panic!("{line}") };
        if let Err(failure) = frame_again(name, version.parse().unwrap(), &unhex(hex)) {
            failures.push(format!("{name} {version}: {failure}"));
        }
    }
    let count = text.lines().count();
    let known: usize =
        SCHEMAS.iter().filter(|it| it.kind == MessageKind::Metadata).map(|it| it.versions.clone().count()).sum();
    assert_eq!(count, known, "golden frames and metadata records differ in number");
    report(&failures, count);
}

fn frame_again(name: &str, version: i16, frame: &Bytes) -> Result<(), String> {
    let (found, mut record) = MetadataRecord::decode_with_version(frame.clone()).map_err(|error| error.to_string())?;
    if (record.name(), found) != (name, version) {
        return Err(format!("decodes as {} {found}", record.name()));
    }
    same_bytes(frame, &record.encode(version).map_err(|error| error.to_string())?)
}

#[test]
fn unknown_tagged_fields_are_passed_over() {
    let full: BTreeMap<_, _> = lines()
        .into_iter()
        .filter(|line| line.case == "full")
        .map(|line| ((line.message.clone(), line.version), line))
        .collect();
    let mut met = 0;
    verify_each(|line| {
        if line.case != "unknown-tag" {
            return Ok(());
        }
        met += 1;
        let twin = full.get(&(line.message.clone(), line.version)).ok_or("no full line")?;
        same_bytes(&twin.bytes, &line.encode(&mut *line.decode()?)?)
    });
    assert!(met > 200, "only {met} messages with an unknown tag");
}

#[test]
fn what_is_cut_short_or_too_long_is_refused() {
    verify_each(|line| {
        if line.case == "default" {
            return Ok(());
        }
        let schema = line.schema()?;
        for end in 0..line.bytes.len() {
            if message::decode_dyn(schema, line.bytes.slice(..end), line.version).is_ok() {
                return Err(format!("decodes from {end} of {} bytes", line.bytes.len()));
            }
        }
        let long = [&line.bytes[..], &[0]].concat();
        match message::decode_dyn(schema, long.into(), line.version) {
            Ok(_) => Err("decodes with a byte too many".to_owned()),
            Err(_) => Ok(()),
        }
    });
}

#[test]
fn conversations_decode_to_the_last_byte_and_encode_back() {
    let mut met = 0;
    let mut failures = Vec::new();
    for path in files("conversations") {
        for (number, line) in text(&path).lines().enumerate() {
            met += 1;
            let fields: Vec<_> = line.split(' ').collect();
            let &[direction, api, version, hex] = &fields[..] else { panic!("{}:{number}: {line}", path.display()) };
            let frame = unhex(hex);
            let again = match direction {
                ">" => request_again(&frame),
                "<" => response_again(&frame, api.parse().unwrap(), version.parse().unwrap()),
                _ => panic!("{}:{number}: {line}", path.display()),
            };
            if let Err(failure) = again.and_then(|again| same_bytes(&frame, &again)) {
                failures.push(format!("{} {direction} {api} {version}: {failure}", stem(&path)));
            }
        }
    }
    assert!(met >= 60, "only {met} frames");
    report(&failures, met);
}

fn request_again(frame: &Bytes) -> Result<Bytes, String> {
    match frame::decode_request(frame.clone()) {
        Ok(mut request) => unframed(frame::encode_request(&mut request).map_err(|error| error.to_string())?),
        Err(RequestError::UnspokenApi { api, version }) => {
            let header = api.request_header_version(version);
            parts_again(frame, RequestHeader::SCHEMA, header, by_key(MessageKind::Request, api.code()), version)
        }
        Err(error) => Err(format!("{error:?}")),
    }
}

fn response_again(frame: &Bytes, api: i16, version: i16) -> Result<Bytes, String> {
    let api = ApiKey::try_from(api).map_err(|error| format!("{error:?}"))?;
    if !SPOKEN.contains(&api) {
        let header = api.response_header_version(version);
        return parts_again(frame, ResponseHeader::SCHEMA, header, by_key(MessageKind::Response, api.code()), version);
    }
    let mut response = frame::decode_response(api, version, frame.clone()).map_err(|error| error.to_string())?;
    let encoded = frame::encode_response(&mut response).map_err(|error| error.to_string())?;
    unframed(encoded)
}

/// Header and body of an API that has no frames here.
fn parts_again(
    frame: &Bytes,
    header: &Schema,
    header_version: i16,
    body: Option<&Schema>,
    version: i16,
) -> Result<Bytes, String> {
    let mut decoder = Decoder::new(frame.clone());
    let mut out = BytesMut::new();
    for (schema, version) in [(header, header_version), (body.ok_or("no schema")?, version)] {
        let mut part = (schema.create)();
        message::walk_dyn(&mut *part, &mut decoder, version).map_err(|error| error.to_string())?;
        message::encode_dyn(&mut *part, version, &mut out).map_err(|error| error.to_string())?;
    }
    decoder.finish().map_err(|error| error.to_string())?;
    Ok(out.freeze())
}

/// A frame's bytes without the size in front, which is checked.
fn unframed(frame: Frame) -> Result<Bytes, String> {
    let mut bytes = frame.bytes().ok_or("a frame of a decoded message has regions")?;
    let size = bytes.get_i32();
    if usize::try_from(size) == Ok(bytes.len()) {
        Ok(bytes)
    } else {
        Err(format!("size {size} of {} bytes", bytes.len()))
    }
}

/// Runs `verify` on every golden line and fails with all that it found.
fn verify_each(mut verify: impl FnMut(&Line) -> Result<(), String>) {
    let lines = lines();
    assert!(lines.len() > 2000, "golden files are missing: {} lines", lines.len());
    let mut failures = Vec::new();
    for line in &lines {
        if let Err(failure) = verify(line) {
            failures.push(format!("{} {} {}: {failure}", line.message, line.version, line.case));
        }
    }
    report(&failures, lines.len());
}

fn report(failures: &[String], of: usize) {
    let shown = failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {of} differ:\n{shown}", failures.len());
}

fn same_bytes(expected: &[u8], got: &[u8]) -> Result<(), String> {
    if expected == got {
        return Ok(());
    }
    let at = expected.iter().zip(got).take_while(|(a, b)| a == b).count();
    Err(format!("bytes differ from {at} on\n  expected {}\n  got      {}", hex(expected), hex(got)))
}

fn same_values(expected: &Value, got: &Value) -> Result<(), String> {
    if expected == got { Ok(()) } else { Err(format!("values differ\n  expected {expected}\n  got      {got}")) }
}

/// The message as Kafka's JSON converters write it.
fn values(message: &mut dyn AnyMessage, version: i16) -> Value {
    let mut writer = JsonWriter { open: vec![Container::Object("", Map::new())], tags: Vec::new() };
    message::walk_dyn(message, &mut writer, version).expect("a decoded message can be walked");
    match writer.open.pop() {
        Some(Container::Object(_, fields)) if writer.open.is_empty() => Value::Object(fields),
        _ => panic!("a container was left open"),
    }
}

/// A container of JSON that is being filled, and its name in the one around it.
enum Container {
    Object(&'static str, Map<String, Value>),
    Array(&'static str, Vec<Value>),
}

/// Writes a message in the shape of Kafka's JSON converters: field names begin in lower case, bytes are base64, of
/// records only the size counts, tagged fields at their default are left out.
struct JsonWriter {
    open: Vec<Container>,
    /// For each struct around the current field, a bit for each tagged field still to write.
    tags: Vec<u32>,
}

impl JsonWriter {
    fn put(&mut self, name: &str, value: impl Into<Value>) -> Walked {
        match self.open.last_mut().expect("the message's own object is open") {
            Container::Object(_, fields) => {
                let mut key = name.to_owned();
                key[..1].make_ascii_lowercase();
                assert!(fields.insert(key, value.into()).is_none(), "{name} came twice");
            }
            Container::Array(_, elements) => elements.push(value.into()),
        }
        Ok(())
    }

    fn close(&mut self) {
        match self.open.pop().expect("a container is open") {
            Container::Object(name, fields) => self.put(name, fields),
            Container::Array(name, elements) => self.put(name, elements),
        }
        .expect("putting never fails");
    }
}

macro_rules! plain {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(&mut self, name: &'static str, value: &mut $type) -> Walked {
            self.put(name, *value)
        }
    )*};
}

impl Walker for JsonWriter {
    fn reads(&self) -> bool {
        false
    }
    fn begin_message(&mut self, _name: &'static str, _flexible: bool) {}
    fn set_flexible(&mut self, _flexible: bool) {}

    plain!(bool: bool, i8: i8, i16: i16, u16: u16, i32: i32, u32: u32, i64: i64, f64: f64);

    fn uuid(&mut self, name: &'static str, value: &mut Uuid) -> Walked {
        self.put(name, value.to_string())
    }
    fn string(&mut self, name: &'static str, value: &mut Str) -> Walked {
        self.put(name, value.as_str())
    }
    fn nullable_string(&mut self, name: &'static str, value: &mut Option<Str>, _nullable: bool) -> Walked {
        self.put(name, value.as_ref().map(|text| text.as_str()))
    }
    fn bytes(&mut self, name: &'static str, value: &mut Bytes) -> Walked {
        self.put(name, base64(value))
    }
    fn nullable_bytes(&mut self, name: &'static str, value: &mut Option<Bytes>, _nullable: bool) -> Walked {
        self.put(name, value.as_ref().map(|bytes| base64(bytes)))
    }
    fn records(&mut self, name: &'static str, value: &mut Option<Records>, _nullable: bool) -> Walked {
        match value {
            Some(records) => self.put(&format!("{name}SizeInBytes"), records.size()),
            None => self.put(name, Value::Null),
        }
    }

    fn begin_array(
        &mut self,
        name: &'static str,
        count: Option<usize>,
        _nullable: bool,
        _element_size: usize,
    ) -> Result<Option<usize>, ProtocolError> {
        match count {
            Some(_) => self.open.push(Container::Array(name, Vec::new())),
            None => self.put(name, Value::Null)?,
        }
        Ok(count)
    }
    fn end_array(&mut self) {
        self.close();
    }
    fn begin_struct(&mut self, name: &'static str) {
        self.open.push(Container::Object(name, Map::new()));
    }
    fn end_struct(&mut self) {
        self.close();
    }
    fn presence(&mut self, name: &'static str, present: bool, _nullable: bool) -> Result<bool, ProtocolError> {
        if !present {
            self.put(name, Value::Null)?;
        }
        Ok(present)
    }

    fn begin_tags(&mut self, present: u32) -> Result<Tags, ProtocolError> {
        self.tags.push(present);
        Ok(Tags::default())
    }
    fn next_tag(&mut self, _tags: &mut Tags, known: u32) -> Result<Option<u32>, ProtocolError> {
        let left = self.tags.last_mut().expect("tags have begun");
        assert_eq!(*left & !known, 0, "a tag to write that the version does not know");
        let next = left.trailing_zeros();
        if *left == 0 {
            self.tags.pop();
            return Ok(None);
        }
        *left &= *left - 1;
        Ok(Some(next))
    }
}

/// Every line of every golden message.
fn lines() -> Vec<Line> {
    let mut lines = Vec::new();
    for path in files("messages").filter(|path| stem(path) != "metadata-frames") {
        let message = stem(&path);
        for line in text(&path).lines() {
            let mut fields = line.splitn(4, ' ');
            let mut field = || fields.next().unwrap_or_else(|| panic!("{message}: {line}"));
            lines.push(Line {
                message: message.clone(),
                version: field().parse().unwrap(),
                case: field().to_owned(),
                bytes: unhex(field()),
                values: fields.next().map(|json| serde_json::from_str(json).unwrap()),
            });
        }
    }
    lines
}

/// The text files of a folder of golden data, in order.
fn files(folder: &str) -> impl Iterator<Item = PathBuf> + use<> {
    let mut paths: Vec<_> = self::folder(folder).read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths.into_iter()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().to_owned()
}

fn text(path: &Path) -> String {
    read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Bytes of hex; `-` is none.
fn unhex(hex: &str) -> Bytes {
    let digits = if hex == "-" { "" } else { hex };
    assert_eq!(digits.len() % 2, 0, "{hex}");
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit) & 63) as usize;
            text.push(if digit > chunk.len() { '=' } else { char::from(DIGITS[value]) });
        }
    }
    text
}
