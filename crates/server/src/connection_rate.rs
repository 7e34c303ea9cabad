//! How fast connections come, and how long one has to wait if they come too fast: measured as Kafka's `Rate` does.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use node::config::Rate;

/// Connections by windows of time. A window ends with the first connection that comes after its length.
#[derive(Debug, Default)]
pub(crate) struct ConnectionRate {
    windows: VecDeque<Window>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    start: Instant,
    last: Instant,
    count: u64,
}

impl ConnectionRate {
    /// One comes. Tells how long it has to wait, at most a window's length, if that is more than there may be in a second.
    pub(crate) fn record(&mut self, now: Instant, limit: Rate) -> Option<Duration> {
        let window = Duration::from_millis(limit.window_ms.max(1));
        let kept = window.saturating_mul(u32::try_from(limit.windows).unwrap_or(u32::MAX));
        self.windows.retain(|it| now.saturating_duration_since(it.last) < kept);
        match self.windows.back_mut() {
            Some(last) if now.saturating_duration_since(last.start) < window => {
                last.last = now;
                last.count += 1;
            }
            _ => self.windows.push_back(Window { start: now, last: now, count: 1 }),
        }
        let start = self.windows.front()?.start;
        let elapsed = now.saturating_duration_since(start).as_millis();
        // As if it had been measured for all windows but one: a few connections after a silence are no rush.
        let (window_ms, windows) = (window.as_millis(), u128::from(limit.windows));
        let missing = windows.saturating_sub(1).saturating_sub(elapsed / window_ms);
        let elapsed = (elapsed + missing * window_ms).max(1);
        let count: u64 = self.windows.iter().map(|it| it.count).sum();
        // So many would have been within the limit only after this time.
        let takes = u128::from(count) * 1000;
        let allowed = u128::from(limit.most) * elapsed;
        if takes <= allowed {
            return None;
        }
        let wait = (takes - allowed).checked_div(u128::from(limit.most)).unwrap_or(u128::MAX);
        Some(Duration::from_millis(u64::try_from(wait).unwrap_or(u64::MAX)).min(window))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Rate = Rate { most: 5, windows: 11, window_ms: 1000 };

    #[test]
    fn a_rush_waits_until_it_is_none() {
        let (mut rate, start) = (ConnectionRate::default(), Instant::now());
        // Eleven windows, the current one not counted, take fifty at five a second.
        for _ in 0..50 {
            assert_eq!(rate.record(start, LIMIT), None);
        }
        assert_eq!(rate.record(start, LIMIT), Some(Duration::from_millis(200)));
        for _ in 0..20 {
            rate.record(start, LIMIT);
        }
        assert_eq!(rate.record(start, LIMIT), Some(Duration::from_secs(1)), "no longer than a window");
        assert_eq!(rate.record(start + Duration::from_secs(20), LIMIT), None, "all that is forgotten");
    }

    #[test]
    fn four_a_second_never_wait_and_six_do() {
        for (pause_ms, waits) in [(250, false), (160, true)] {
            let (mut rate, start) = (ConnectionRate::default(), Instant::now());
            let late = (0..400).filter(|it| rate.record(start + Duration::from_millis(it * pause_ms), LIMIT).is_some());
            assert_eq!(late.count() > 0, waits, "one each {pause_ms} ms");
        }
    }

    #[test]
    fn where_none_may_come_each_waits_a_window() {
        let mut rate = ConnectionRate::default();
        let none = Rate { most: 0, ..LIMIT };
        assert_eq!(rate.record(Instant::now(), none), Some(Duration::from_secs(1)));
    }
}
