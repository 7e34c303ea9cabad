//! Waiting longer after each failure.

use crate::random::Random;

/// Doubles from `first_ms` to `max_ms` and strays by a fifth either way, as Kafka's clients do (KIP-144, KIP-580).
pub(crate) fn exponential_ms(first_ms: i64, max_ms: i64, failures: u32, random: &mut Random) -> i64 {
    let first = first_ms.min(max_ms).max(0);
    let doubled = if failures >= 40 { max_ms } else { first.saturating_mul(1 << failures).min(max_ms) };
    // A spread in per mille keeps floats out.
    let stray = 800 + random.below(401) as i64;
    (doubled.saturating_mul(stray) / 1_000).min(max_ms).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_maximum() {
        let mut random = Random::new(1);
        for (failures, low, high) in [(0, 80, 120), (1, 160, 240), (3, 640, 960), (4, 800, 1_000), (63, 800, 1_000)] {
            for _ in 0..50 {
                let ms = exponential_ms(100, 1_000, failures, &mut random);
                assert!((low..=high).contains(&ms), "{failures} failures: {ms} ms");
            }
        }
    }
}
