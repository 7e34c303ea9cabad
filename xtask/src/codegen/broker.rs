//! What a running Apache Kafka says it supports.

use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::TcpStream;

/// Asks a broker for its API versions and features: `api KEY MIN MAX`, `supported NAME MIN MAX`, `finalized NAME MIN MAX`.
///
/// The request and the answer are taken apart by hand, so that the recorded table does not depend on what is generated
/// from it.
pub(super) fn record(address: &str, version: &str) -> Result<String, String> {
    let answer = ask(address).map_err(|error| format!("{address}: {error}"))?;
    let mut reader = Reader { bytes: &answer };
    let text = read(&mut reader, version).ok_or("the answer is no ApiVersions v4 response")?;
    if reader.bytes.is_empty() { Ok(text) } else { Err(format!("{} bytes follow the answer", reader.bytes.len())) }
}

fn ask(address: &str) -> std::io::Result<Vec<u8>> {
    const CLIENT: &[u8] = b"codegen";
    // Header v2: key 18, version 4, correlation id, client id, no tags. Body: software name and version, no tags.
    let mut request = vec![0, 18, 0, 4, 0, 0, 0, 1, 0, CLIENT.len() as u8];
    request.extend_from_slice(CLIENT);
    request.extend_from_slice(&[0, 2, b'x', 2, b'1', 0]);
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(&(request.len() as u32).to_be_bytes())?;
    stream.write_all(&request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let mut answer = Vec::new();
    stream.take(u32::from_be_bytes(length).into()).read_to_end(&mut answer)?;
    Ok(answer)
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.bytes.split_at_checked(count)?;
        self.bytes = tail;
        Some(head)
    }

    fn i16(&mut self) -> Option<i16> {
        Some(i16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn varint(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = *self.take(1)?.first()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A compact string.
    fn string(&mut self) -> Option<&'a str> {
        let length = self.varint()?.checked_sub(1)?;
        std::str::from_utf8(self.take(length)?).ok()
    }
}

fn read(reader: &mut Reader, version: &str) -> Option<String> {
    let mut out = format!(
        "# What a broker of Apache Kafka {version} answers to ApiVersions v4 (`cargo xtask codegen --broker`).\n"
    );
    // Correlation id and error code.
    reader.take(4)?;
    (reader.i16()? == 0).then_some(())?;
    for _ in 1..reader.varint()? {
        let (key, first, last) = (reader.i16()?, reader.i16()?, reader.i16()?);
        reader.varint()?;
        let _ = writeln!(out, "api {key} {first} {last}");
    }
    // Throttle time.
    reader.take(4)?;
    for _ in 0..reader.varint()? {
        let tag = reader.varint()?;
        let length = reader.varint()?;
        let mut field = Reader { bytes: reader.take(length)? };
        let what = match tag {
            0 => "supported",
            2 => "finalized",
            _ => continue,
        };
        for _ in 1..field.varint()? {
            // The finalized ones have their highest level first.
            let (name, one, other) = (field.string()?, field.i16()?, field.i16()?);
            field.varint()?;
            let _ = writeln!(out, "{what} {name} {} {}", one.min(other), one.max(other));
        }
    }
    Some(out)
}
