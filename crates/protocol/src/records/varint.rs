//! Zigzag varints, the integers of a record.

use super::error::RecordFault;

/// Takes a 32-bit zigzag varint off the front.
#[inline]
pub(crate) fn take_i32(bytes: &mut &[u8]) -> Result<i32, RecordFault> {
    let mut value: u32 = 0;
    for shift in [0, 7, 14, 21, 28] {
        let (&byte, rest) = bytes.split_first().ok_or(RecordFault::EndsEarly)?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            // The fifth byte has room for four bits; more would be lost without a word.
            return if shift < 28 || byte < 0x10 { Ok(unzigzag_32(value)) } else { Err(RecordFault::Varint) };
        }
    }
    Err(RecordFault::Varint)
}

/// Takes a 64-bit zigzag varint off the front.
#[inline]
pub(crate) fn take_i64(bytes: &mut &[u8]) -> Result<i64, RecordFault> {
    let mut value: u64 = 0;
    for shift in (0..70).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(RecordFault::EndsEarly)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return if shift < 63 || byte < 0x02 { Ok(unzigzag_64(value)) } else { Err(RecordFault::Varint) };
        }
    }
    Err(RecordFault::Varint)
}

/// Appends a zigzag varint. 32-bit values have the same bytes in both widths.
pub(crate) fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Bytes that [`put`] appends.
pub(crate) fn size(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

fn zigzag(value: i64) -> u64 {
    (value.wrapping_shl(1) ^ (value >> 63)) as u64
}

fn unzigzag_32(value: u32) -> i32 {
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

fn unzigzag_64(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_at_every_length() {
        let mut values = vec![0, i64::MIN, i64::MAX];
        for bit in 0..63 {
            values.extend([1 << bit, (1 << bit) - 1, -(1 << bit), -(1 << bit) - 1]);
        }
        for value in values {
            let mut out = Vec::new();
            put(&mut out, value);
            assert_eq!(out.len(), size(value), "{value}");
            assert_eq!(take_i64(&mut &out[..]), Ok(value));
            match i32::try_from(value) {
                Ok(narrow) => assert_eq!(take_i32(&mut &out[..]), Ok(narrow)),
                Err(_) => assert_eq!(take_i32(&mut &out[..]), Err(RecordFault::Varint), "{value}"),
            }
            for cut in 0..out.len() {
                assert_eq!(take_i64(&mut &out[..cut]), Err(RecordFault::EndsEarly));
            }
        }
    }

    #[test]
    fn refuses_what_is_too_long() {
        assert_eq!(take_i32(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01][..]), Err(RecordFault::Varint));
        assert_eq!(take_i32(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), Err(RecordFault::Varint));
        assert_eq!(take_i64(&mut &[0xff; 11][..]), Err(RecordFault::Varint));
        let mut too_wide = [0xff; 10];
        too_wide[9] = 0x02;
        assert_eq!(take_i64(&mut &too_wide[..]), Err(RecordFault::Varint));
        // Longer than needed, but whole: Kafka takes it too.
        assert_eq!(take_i32(&mut &[0x82, 0x00][..]), Ok(1));
    }
}
