//! What fuzzing begins with: the bytes of Apache Kafka that tests compare ours with, in the form that each target takes.
//!
//! `seeds GOLDEN CORPUS` writes a file a seed to `CORPUS/TARGET`; GOLDEN is `crates/protocol/tests/golden`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::BytesMut;
use protocol::message::encode_dyn;
use protocol::messages::{RequestHeader, by_name};
use protocol::records::{BatchHead, Compression, HEAD_SIZE};
use protocol::{ApiKey, Str};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let args: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [golden, corpus] = &args[..] else { return Err("usage: seeds GOLDEN CORPUS".into()) };
    for target in ["frame", "node", "records", "codecs"] {
        fs::create_dir_all(corpus.join(target))?;
    }
    let mut count = 0;
    let mut write = |target: &str, name: &str, bytes: &[u8]| -> Result<()> {
        count += 1;
        Ok(fs::write(corpus.join(target).join(name), bytes)?)
    };
    for path in files(&golden.join("messages"), "Request.txt")? {
        let api = stem(&path);
        for (name, frame) in requests(&path)? {
            write("frame", &format!("{api}-{name}"), &frame)?;
            write("node", &format!("{api}-{name}"), &sized(&frame))?;
        }
    }
    for path in files(&golden.join("conversations"), ".txt")? {
        let who = stem(&path);
        let mut all = Vec::new();
        for (number, frame) in said(&path)?.into_iter().enumerate() {
            write("frame", &format!("{who}-{number}"), &frame)?;
            all.extend(sized(&frame));
        }
        write("node", &who, &all)?;
    }
    for path in files(&golden.join("records"), ".bin")? {
        let (name, batch) = (stem(&path), fs::read(&path)?);
        write("records", &name, &batch)?;
        let compression = BatchHead::decode(&batch)?.attributes.compression();
        write("codecs", &name, &packed(compression, &batch[HEAD_SIZE..])?)?;
    }
    let long = fs::read(golden.join("long_literals.zst"))?;
    write("codecs", "long_literals", &packed(Compression::Zstd, &long)?)?;
    println!("{count} seeds");
    Ok(())
}

/// Each line of a golden message with a header in front.
fn requests(path: &Path) -> Result<Vec<(String, Vec<u8>)>> {
    let name = stem(path);
    let key = by_name(&name).and_then(|it| it.api_key).ok_or_else(|| format!("{name} is no request"))?;
    let api = ApiKey::try_from(key).map_err(|_| format!("{name}: no API has the key {key}"))?;
    let mut frames = Vec::new();
    for line in fs::read_to_string(path)?.lines() {
        let mut fields = line.split(' ');
        let (Some(version), Some(case), Some(hex)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(format!("{}: {line}", path.display()).into());
        };
        let number: i16 = version.parse()?;
        let mut header = RequestHeader {
            request_api_key: key,
            request_api_version: number,
            correlation_id: 1,
            client_id: Some(Str::from_static("seed")),
        };
        let mut frame = BytesMut::new();
        encode_dyn(&mut header, api.request_header_version(number), &mut frame)?;
        frames.push((format!("{version}-{case}"), [&frame[..], &unhex(hex)?].concat()));
    }
    Ok(frames)
}

/// What the client of a conversation said.
fn said(path: &Path) -> Result<Vec<Vec<u8>>> {
    let text = fs::read_to_string(path)?;
    let requests = text.lines().filter(|line| line.starts_with("> "));
    requests.map(|line| unhex(line.rsplit(' ').next().unwrap_or_default())).collect()
}

/// A frame as the node takes it among others.
fn sized(frame: &[u8]) -> Vec<u8> {
    let length = u16::try_from(frame.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), &frame[..usize::from(length)]].concat()
}

/// Bytes to decompress, behind which codec they are for: its place among all.
fn packed(compression: Compression, bytes: &[u8]) -> Result<Vec<u8>> {
    let place = Compression::ALL.iter().position(|it| *it == compression).ok_or("no such codec")?;
    Ok([&[u8::try_from(place)?], bytes].concat())
}

fn files(folder: &Path, ending: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ending)) {
            found.push(path);
        }
    }
    found.sort_unstable();
    if found.is_empty() { Err(format!("nothing ends with {ending} in {}", folder.display()).into()) } else { Ok(found) }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn unhex(hex: &str) -> Result<Vec<u8>> {
    let digits = if hex == "-" { "" } else { hex };
    let byte = |at| u8::from_str_radix(digits.get(at..at + 2).unwrap_or_default(), 16);
    (0..digits.len()).step_by(2).map(|at| Ok(byte(at)?)).collect()
}
