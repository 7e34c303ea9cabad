//! The text of a `.properties` file, as Java reads it.

use ordered::Map;

use super::ConfigError;

/// Reads the text of a `.properties` file: comments (`#`, `!`), `=`, `:` or blanks between key and value, continuation lines,
/// and the escapes `\t \n \r \f \uXXXX`. A later line wins over an earlier one with the same key.
pub fn parse_properties(text: &str) -> Result<Map<String, String>, ConfigError> {
    let mut properties = Map::new();
    // A lone carriage return ends a line too, as Java has it.
    let text = text.replace("\r\n", "\n");
    let mut lines = text.split(['\n', '\r']).enumerate();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_start_matches(BLANKS);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = line.to_owned();
        while continues(&logical) {
            logical.pop();
            let Some((_, next)) = lines.next() else { break };
            logical.push_str(next.trim_start_matches(BLANKS));
        }
        let (key, value) = split(&logical);
        let at = |what: &str| ConfigError(format!("line {}: {what} in \"{line}\"", number + 1));
        let key = unescape(key).ok_or_else(|| at("malformed \\uXXXX escape"))?;
        let value = unescape(value).ok_or_else(|| at("malformed \\uXXXX escape"))?;
        properties.insert(key, value);
    }
    Ok(properties)
}

const BLANKS: [char; 3] = [' ', '\t', '\x0c'];

/// True if the line ends in an odd number of backslashes.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// Cuts at the first separator that is not escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    for (index, character) in line.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if matches!(character, '=' | ':') || BLANKS.contains(&character) {
            let rest = line[index..].trim_start_matches(BLANKS);
            let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
            return (&line[..index], rest.trim_start_matches(BLANKS));
        }
    }
    (line, "")
}

fn unescape(text: &str) -> Option<String> {
    // Java's strings are UTF-16: two escapes may make one character.
    let mut units = Vec::new();
    let mut characters = text.chars();
    let mut pair = [0; 2];
    while let Some(character) = characters.next() {
        if character != '\\' {
            units.extend_from_slice(character.encode_utf16(&mut pair));
            continue;
        }
        let unit = match characters.next() {
            Some('t') => u16::from(b'\t'),
            Some('n') => u16::from(b'\n'),
            Some('r') => u16::from(b'\r'),
            Some('f') => 0x0c,
            Some('u') => {
                let digits: String = characters.by_ref().take(4).collect();
                if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return None;
                }
                u16::from_str_radix(&digits, 16).ok()?
            }
            Some(other) => {
                units.extend_from_slice(other.encode_utf16(&mut pair));
                continue;
            }
            None => break,
        };
        units.push(unit);
    }
    Some(String::from_utf16_lossy(&units))
}
