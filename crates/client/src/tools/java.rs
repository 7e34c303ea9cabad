//! Where Kafka's tools print in the order of a Java `HashMap`, so do we.

/// The keys in the order in which a `HashMap` iterates that was made for `capacity` entries (0: as Java chooses) and filled
/// in the order given.
pub(super) fn hash_order(keys: Vec<String>, capacity: usize) -> Vec<String> {
    let mut buckets = if capacity == 0 { 16 } else { capacity.next_power_of_two() };
    // The table doubles whenever it is more than three quarters full. Doubling keeps the order within a bucket.
    while keys.len() * 4 > buckets * 3 {
        buckets *= 2;
    }
    let mut keys = keys;
    ordered::sort_by_key(&mut keys, |key| spread(key) as usize & (buckets - 1));
    keys
}

/// `String.hashCode`, its upper half folded in as `HashMap` does.
fn spread(key: &str) -> u32 {
    let hash = key.encode_utf16().fold(0u32, |hash, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)));
    hash ^ (hash >> 16)
}

/// Java's `String.trim().equalsIgnoreCase("true")`.
pub(super) fn is_true(text: &str) -> bool {
    text.trim().eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_iterate_as_in_java() {
        // As kafka-topics printed the configuration of a topic.
        let keys = ["cleanup.policy", "min.insync.replicas", "retention.ms"].map(str::to_owned).to_vec();
        assert_eq!(hash_order(keys, 64), ["min.insync.replicas", "cleanup.policy", "retention.ms"]);
        assert_eq!(spread("a"), 97);
    }
}
