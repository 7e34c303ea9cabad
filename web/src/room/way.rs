//! The way from one moment to the next as somebody watches it: what happens takes its time, and time in which nothing does passes at
//! once.

/// So long is seen before anything that happens, in virtual µs.
const BEFORE_US: u64 = 3_000;
/// So many of the reader's ms a virtual ms takes at the slowest.
const SLOWEST: f64 = 300.0;

/// When to be where.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Way {
    /// Times at which something happens, and how much there is to see until then, both in µs.
    stations: Vec<(u64, u64)>,
    begun_ms: f64,
    lasts_ms: f64,
}

impl Way {
    /// The way by these times, the first being now and the last its end, in so many ms at most.
    pub(crate) fn new(times: &[u64], now_ms: f64, most_ms: f64) -> Way {
        let mut seen = 0;
        let mut stations = Vec::with_capacity(times.len());
        for (index, time) in times.iter().enumerate() {
            let gap = index.checked_sub(1).map_or(0, |it| time.saturating_sub(times[it]));
            seen += gap.min(BEFORE_US);
            stations.push((*time, seen));
        }
        Way { stations, begun_ms: now_ms, lasts_ms: (seen as f64 / 1_000.0 * SLOWEST).min(most_ms) }
    }

    /// The virtual time to be at by now.
    pub(crate) fn at(&self, now_ms: f64) -> u64 {
        let Some((end, all)) = self.stations.last().copied() else { return 0 };
        let share = (now_ms - self.begun_ms) / self.lasts_ms.max(1.0);
        if share >= 1.0 {
            return end;
        }
        let seen = (share.max(0.0) * all as f64) as u64;
        let next = self.stations.partition_point(|it| it.1 <= seen);
        // Whatever is idle before is skipped.
        self.stations.get(next).map_or(end, |it| it.0 - (it.1 - seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_passes_at_once_and_what_happens_is_seen() {
        // Two events, 1 ms apart, after 300 ms in which nothing happens, and as much after them.
        let way = Way::new(&[0, 300_000, 301_000, 600_000], 50.0, 7_000.0);
        assert_eq!(way.lasts_ms, 2_100.0, "3 + 1 + 3 ms, each 300 times as long");
        assert_eq!(way.at(50.0), 297_000);
        assert_eq!(way.at(50.0 + 450.0), 298_500);
        assert_eq!(way.at(50.0 + 1_050.0), 300_500);
        assert_eq!(way.at(50.0 + 1_200.0), 597_000);
        assert_eq!((way.at(50.0 + 2_100.0), way.at(1e9)), (600_000, 600_000));
        // A way full of events takes no longer than it may.
        let times: Vec<u64> = (0..10_000).map(|it| it * 1_000).collect();
        let way = Way::new(&times, 0.0, 4_000.0);
        assert_eq!((way.lasts_ms, way.at(2_000.0) / 1_000_000), (4_000.0, 4));
        assert_eq!(Way::default().at(1.0), 0);
    }
}
