//! Words of the scenario language as they are written: values with quotes where they need them, durations with units.

use std::fmt::{self, Write};

/// A value as a scenario writes it: bare if it is a word, else in double quotes with `\"`, `\\`, `\n` and `\xNN`.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::str::from_utf8(self.0);
        if let Ok(text) = text
            && !text.is_empty()
            && text.chars().all(is_plain)
        {
            return f.write_str(text);
        }
        f.write_char('"')?;
        for byte in self.0 {
            match byte {
                b'"' => f.write_str("\\\"")?,
                b'\\' => f.write_str("\\\\")?,
                b'\n' => f.write_str("\\n")?,
                b' '..=b'~' => f.write_char(char::from(*byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        f.write_char('"')
    }
}

/// True for a character that needs no quotes.
fn is_plain(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\\' | '#')
}

/// Microseconds, written in the greatest unit that keeps them whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duration(pub u64);

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            us if us.is_multiple_of(1_000_000) => write!(f, "{}s", us / 1_000_000),
            us if us.is_multiple_of(1_000) => write!(f, "{}ms", us / 1_000),
            us => write!(f, "{us}us"),
        }
    }
}

impl Duration {
    /// Reads `5m`, `2s`, `1.5s`, `20ms`, `300us`.
    pub fn parse(text: &str) -> Option<Duration> {
        let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
        let unit: u64 = match unit {
            "m" => 60_000_000,
            "s" => 1_000_000,
            "ms" => 1_000,
            "us" => 1,
            _ => return None,
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let mut total = digits(whole)?.checked_mul(unit)?;
        if !part.is_empty() {
            // Digits beyond a microsecond would be lost silently.
            let scale = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
            let fraction = digits(part)?.checked_mul(unit)?;
            if !fraction.is_multiple_of(scale) {
                return None;
            }
            total = total.checked_add(fraction / scale)?;
        }
        Some(Duration(total))
    }
}

fn digits(text: &str) -> Option<u64> {
    if text.bytes().all(|it| it.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        for (text, us) in [
            ("5m", 300_000_000),
            ("2s", 2_000_000),
            ("1.5s", 1_500_000),
            ("20ms", 20_000),
            ("0.25ms", 250),
            ("7us", 7),
            ("0s", 0),
        ] {
            assert_eq!(Duration::parse(text), Some(Duration(us)), "{text}");
        }
        for wrong in ["", "2", "s", "-1s", "1.5us", "1h", "1,5s", "99999999999999999999s", "1.s.s"] {
            assert_eq!(Duration::parse(wrong), None, "{wrong}");
        }
        for us in [0, 1, 999, 1_000, 1_500, 60_000_000] {
            assert_eq!(Duration::parse(&Duration(us).to_string()), Some(Duration(us)));
        }
    }

    #[test]
    fn values_are_quoted_when_they_must_be() {
        for (value, text) in [
            (&b"eva"[..], "eva"),
            (b"a b", r#""a b""#),
            (b"", r#""""#),
            (b"say \"hi\"\\", r#""say \"hi\"\\""#),
            (b"\x00\xff\n", r#""\x00\xff\n""#),
            ("é".as_bytes(), "é"),
        ] {
            assert_eq!(Quoted(value).to_string(), text);
        }
    }
}
