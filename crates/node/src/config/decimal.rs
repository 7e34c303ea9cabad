//! Numbers of a DOUBLE setting.

/// Reads a decimal number as Java writes it: `0.5`, `.5`, `1e-3`.
///
/// Exactly rounded up to 15 digits and powers of ten up to 22, which is to say for anything that a person writes into a
/// configuration; beyond that it may be off in the last place. std's `parse` never is, for 10 KiB of tables that no other
/// code of the page needs.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let (negative, unsigned) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (digits, power) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&unsigned[..at], std::str::from_utf8(&unsigned[at + 1..]).ok()?.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let mut significand = 0u64;
    // Of the last digit that counts.
    let mut scale = i64::from(power);
    let (mut seen, mut behind_point) = (false, false);
    for byte in digits {
        match byte {
            b'.' if !behind_point => behind_point = true,
            b'0'..=b'9' => {
                seen = true;
                let next = significand.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
                let counts = next < 10u64.pow(18);
                significand = if counts { next } else { significand };
                scale += i64::from(!counts) - i64::from(behind_point);
            }
            _ => return None,
        }
    }
    let mut number = significand as f64;
    // No double has a larger exponent; zero has none.
    for _ in 0..scale.unsigned_abs().min(if significand == 0 { 0 } else { 700 }) / 22 {
        number = if scale > 0 { number * 1e22 } else { number / 1e22 };
    }
    let rest = (0..scale.unsigned_abs().min(700) % 22).fold(1.0, |power, _| power * 10.0);
    number = if scale > 0 { number * rest } else { number / rest };
    (seen && number.is_finite()).then_some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_std_reads() {
        for text in [
            "0",
            "0.0",
            "-0",
            "1",
            "0.5",
            ".5",
            "5.",
            "+0.8",
            "-1",
            "1e-3",
            "2.5E+3",
            "0.1",
            "0.3333333333",
            "1.0000001",
            "123456789012345",
            "1e22",
            "1e-22",
            "4.9e15",
            "0.000001",
            "9999999.125",
            "00012.50",
        ] {
            assert_eq!(decimal(text), text.parse().ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_or_none_of_a_double_is_none() {
        for text in
            ["", ".", "-", "e5", "1e", "1.2.3", "0x1", "one", "NaN", "inf", "1e400", "1_0", " 1", "1e99999999999"]
        {
            assert_eq!(decimal(text), None, "{text}");
        }
        assert_eq!(decimal("1e-400"), Some(0.0));
        assert_eq!(decimal("0e400"), Some(0.0));
        let close = decimal("0.12345678901234567890123").unwrap();
        assert!((close - 0.123_456_789_012_345_68).abs() < 1e-16);
        assert!((decimal("1.5e300").unwrap() / 1.5e300 - 1.0).abs() < 1e-14);
    }
}
