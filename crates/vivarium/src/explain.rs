//! `vivarium explain`: what every byte of a frame, a message or a batch means.

use std::io::Read;
use std::path::PathBuf;

use bytes::Bytes;
use protocol::ApiKey;
use protocol::explain::{self, Explanation};
use protocol::messages::by_key;

/// Decode hex (an argument, or standard input) or a file, field by field
#[derive(clap::Args)]
pub(crate) struct ExplainArguments {
    /// The bytes in hex; blanks and line breaks do not matter. Without it and without --file: standard input
    hex: Option<String>,
    /// Read the bytes from a file as they are, for example a log segment with --batch
    #[arg(long, value_name = "FILE", conflicts_with = "hex")]
    file: Option<PathBuf>,
    /// They are record batches, as in a log segment or in the records field of Produce and Fetch
    #[arg(long, group = "what")]
    batch: bool,
    /// They are the response to a request of this API (its name or number)
    #[arg(long, value_name = "API", group = "what", requires = "api_version")]
    response: Option<String>,
    /// They are one message without header, by its name in Kafka's definitions
    #[arg(long, value_name = "NAME", group = "what", requires = "api_version")]
    message: Option<String>,
    /// The version of the response or message
    #[arg(long, value_name = "N")]
    api_version: Option<i16>,
}

pub(crate) fn run(arguments: &ExplainArguments) -> Result<(), String> {
    let bytes = bytes(arguments)?;
    let version = arguments.api_version.unwrap_or(0);
    let explanation = if arguments.batch {
        explain::batches(bytes)
    } else if let Some(api) = &arguments.response {
        explain::response(api_key(api)?, version, without_size(bytes), by_key)
    } else if let Some(name) = &arguments.message {
        let schema = protocol::messages::by_name(name).ok_or_else(|| {
            format!("{name}: no such message; names are as in Kafka's definitions, for example ProduceRequest")
        })?;
        explain::message(schema, version, bytes)
    } else {
        explain::request(without_size(bytes), by_key)
    };
    print(&explanation)
}

fn bytes(arguments: &ExplainArguments) -> Result<Bytes, String> {
    if let Some(path) = &arguments.file {
        return std::fs::read(path).map(Bytes::from).map_err(|error| format!("{}: {error}", path.display()));
    }
    let text = match &arguments.hex {
        Some(text) => text.clone(),
        None => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).map_err(|error| format!("standard input: {error}"))?;
            text
        }
    };
    from_hex(&text)
}

fn from_hex(text: &str) -> Result<Bytes, String> {
    let mut digits = Vec::new();
    for (at, character) in text.char_indices().filter(|(_, it)| !it.is_whitespace()) {
        let digit = character.to_digit(16).ok_or_else(|| format!("{character:?} at {at} is no hex digit"))?;
        digits.push(digit as u8);
    }
    if digits.len() % 2 == 1 {
        return Err("an odd number of hex digits: half a byte is missing".into());
    }
    Ok(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect::<Vec<u8>>().into())
}

/// A frame as it was on the wire starts with its size; one from a log of frames may not.
fn without_size(bytes: Bytes) -> Bytes {
    match bytes.first_chunk::<4>() {
        Some(size) if i32::from_be_bytes(*size) as usize == bytes.len() - 4 => bytes.slice(4..),
        _ => bytes,
    }
}

fn api_key(name: &str) -> Result<ApiKey, String> {
    let by_number = name.parse::<i16>().ok().and_then(|key| ApiKey::try_from(key).ok());
    by_number
        .or_else(|| ApiKey::ALL.iter().copied().find(|it| it.name().eq_ignore_ascii_case(name)))
        .ok_or_else(|| format!("{name}: no such API; give its name or number, for example Fetch or 1"))
}

fn print(explanation: &Explanation) -> Result<(), String> {
    print!("{}", explanation);
    match &explanation.error {
        Some(error) => Err(error.to_string()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_in_any_spacing() {
        assert_eq!(from_hex("00 0A\nff").unwrap(), Bytes::from_static(&[0, 10, 255]));
        assert_eq!(from_hex("0x").unwrap_err(), "'x' at 1 is no hex digit");
        assert_eq!(from_hex("abc").unwrap_err(), "an odd number of hex digits: half a byte is missing");
    }

    #[test]
    fn a_size_is_left_out_only_if_it_is_one() {
        assert_eq!(without_size(Bytes::from_static(&[0, 0, 0, 1, 9])), Bytes::from_static(&[9]));
        assert_eq!(without_size(Bytes::from_static(&[0, 18, 0, 0, 9])), Bytes::from_static(&[0, 18, 0, 0, 9]));
    }
}
