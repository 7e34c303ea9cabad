//! Time as the core sees it: always an argument, never read.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

/// A moment on a node's monotonic clock, in microseconds since the node booted. For deadlines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub u64);

/// A moment on a wall clock, in milliseconds since 1970. It may jump; records and segments carry it, deadlines never do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WallMs(pub i64);

/// Both clocks of a node at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub mono: Instant,
    /// For timestamps.
    pub wall: WallMs,
}

impl Instant {
    /// The time from `earlier` to `self`, zero if `earlier` is later.
    pub fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// `self` plus a configured number of milliseconds; a negative number counts as zero.
    pub fn plus_ms(self, ms: i64) -> Instant {
        Instant(self.0.saturating_add(ms.max(0).unsigned_abs().saturating_mul(1_000)))
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub for WallMs {
    type Output = i64;

    fn sub(self, other: WallMs) -> i64 {
        self.0.saturating_sub(other.0)
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}
