//! The cleaner's settings: those of this broker, of all brokers, of the node's file, or Kafka's defaults.

use protocol::Str;

use super::definition::boolean;
use super::{BROKER_KEYS, Config};
use crate::image::{Image, Resource};

/// A share in billionths: what a decimal number becomes, so that every host decides alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(pub u64);

impl Share {
    /// All of it.
    pub const ONE: Share = Share(1_000_000_000);

    /// In hundredths.
    pub fn percent(self) -> u64 {
        self.0 / (Share::ONE.0 / 100)
    }

    /// True if `part` of `whole` is more.
    pub fn is_exceeded_by(self, part: u64, whole: u64) -> bool {
        u128::from(part) * u128::from(Share::ONE.0) > u128::from(whole) * u128::from(self.0)
    }
}

/// `log.cleaner.*`, as far as it is not a topic's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CleanerConfig {
    /// `log.cleaner.enable`.
    pub enable: bool,
    /// `log.cleaner.threads`: logs that are cleaned at once.
    pub threads: usize,
    /// `log.cleaner.backoff.ms`.
    pub backoff_ms: i64,
    /// `log.cleaner.dedupe.buffer.size`, of all threads together.
    pub dedupe_buffer_size: u64,
    /// `log.cleaner.io.buffer.load.factor`.
    pub load_factor: Share,
    /// `log.cleaner.io.max.bytes.per.second`, of all threads together; `None` is without limit.
    pub io_max_bytes_per_second: Option<u64>,
    /// `log.cleaner.io.buffer.size`, of all threads together.
    pub io_buffer_size: u32,
}

impl CleanerConfig {
    /// The bytes that a thread reads or writes at once: twice its share, which for the default is what a disk moves best.
    pub fn piece(&self) -> u32 {
        let threads = u32::try_from(self.threads.max(1)).unwrap_or(u32::MAX);
        (self.io_buffer_size / threads).saturating_mul(2).clamp(64 << 10, 16 << 20)
    }
}

impl Config {
    /// The effective value of a broker's key: set for this broker, for all brokers, or in the node's file, else the default.
    pub fn broker_value(&self, image: &Image, key: &str) -> Option<Str> {
        self.value_with(&|resource| image.setting(resource, key).cloned(), key)
    }

    /// The same with what is set for resources from elsewhere than the image.
    pub(super) fn value_with(&self, set: &dyn Fn(&Resource) -> Option<Str>, key: &str) -> Option<Str> {
        set(&Resource::broker(self.node_id))
            .or_else(|| set(&Resource::all_brokers()))
            .or_else(|| self.explicit(key).cloned())
            .or_else(|| BROKER_KEYS.iter().find(|it| it.name == key)?.default.map(Str::from_static))
    }

    /// The cleaner's effective settings.
    pub fn cleaner(&self, image: &Image) -> CleanerConfig {
        let text = |key: &str| self.broker_value(image, key).unwrap_or_default();
        let number = |key: &str| text(key).trim().parse::<i64>().unwrap_or_default();
        CleanerConfig {
            enable: boolean(text("log.cleaner.enable").trim()).unwrap_or(true),
            threads: usize::try_from(number("log.cleaner.threads")).unwrap_or_default(),
            backoff_ms: number("log.cleaner.backoff.ms"),
            dedupe_buffer_size: number("log.cleaner.dedupe.buffer.size").max(0).cast_unsigned(),
            load_factor: share(&text("log.cleaner.io.buffer.load.factor")),
            io_buffer_size: u32::try_from(number("log.cleaner.io.buffer.size")).unwrap_or_default(),
            io_max_bytes_per_second: whole(&text("log.cleaner.io.max.bytes.per.second")),
        }
    }
}

/// A decimal number from 0 to 1. What is larger counts as all, what cannot be read as nothing.
pub(super) fn share(text: &str) -> Share {
    decimal(text, 9).map_or(Share::ONE, |billionths| Share(billionths.min(Share::ONE.0)))
}

/// The whole part of a decimal number; `None` if it is beyond what can be counted.
fn whole(text: &str) -> Option<u64> {
    decimal(text, 0)
}

/// A decimal number that a definition has let pass, times a power of ten, cut to an integer. `None` if that is too large.
fn decimal(text: &str, shift: i32) -> Option<u64> {
    let text = text.trim().trim_start_matches('+');
    if text.starts_with('-') {
        return Some(0);
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent = exponent.parse::<i32>().unwrap_or(0).saturating_add(shift);
    let (digits, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let scale = exponent.saturating_sub(i32::try_from(fraction.len()).unwrap_or(i32::MAX));
    let mut number = 0u128;
    for digit in digits.bytes().chain(fraction.bytes()).filter(u8::is_ascii_digit) {
        number = number.checked_mul(10)?.checked_add(u128::from(digit - b'0'))?;
    }
    if number == 0 {
        return Some(0);
    }
    let number = match u32::try_from(scale) {
        Ok(up) => number.checked_mul(10u128.checked_pow(up)?)?,
        Err(_) => 10u128.checked_pow(scale.unsigned_abs()).map_or(0, |down| number / down),
    };
    u64::try_from(number).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_numbers_are_read_without_floats() {
        assert_eq!(share("0.5"), Share(500_000_000));
        assert_eq!(share(" .25 "), Share(250_000_000));
        assert_eq!(share("5E-1"), Share(500_000_000));
        assert_eq!(share("1"), Share::ONE);
        assert_eq!(share("0"), Share(0));
        assert_eq!(share("1e-300"), Share(0));
        assert_eq!(whole("1.7976931348623157E308"), None);
        assert_eq!(whole("1048576.9"), Some(1_048_576));
        assert_eq!(whole("2.5e3"), Some(2_500));
        assert_eq!(whole("-1"), Some(0));
    }

    #[test]
    fn a_share_is_exceeded_not_reached() {
        assert!(!Share(500_000_000).is_exceeded_by(5, 10));
        assert!(Share(500_000_000).is_exceeded_by(6, 10));
        assert!(!Share(0).is_exceeded_by(0, 10));
        assert!(Share(0).is_exceeded_by(1, u64::MAX));
    }

    #[test]
    fn kafkas_defaults() {
        let cleaner = Config::default().cleaner(&Image::default());
        assert_eq!(cleaner.threads, 1);
        assert_eq!(cleaner.backoff_ms, 15_000);
        assert_eq!(cleaner.dedupe_buffer_size, 128 << 20);
        assert_eq!(cleaner.load_factor, Share(900_000_000));
        assert_eq!(cleaner.io_max_bytes_per_second, None);
        assert!(cleaner.enable);
    }
}
