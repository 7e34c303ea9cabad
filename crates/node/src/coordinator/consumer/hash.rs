//! The hash by which a group knows that topics which it is subscribed to have changed: XXH3 of 64 bits, of the same bytes as in
//! Apache Kafka, so that a log which one of the two wrote means the same to the other.

use crate::image::Image;
use protocol::Str;

/// The version of what goes into a topic's hash.
const MAGIC: u8 = 0;

/// The hash of the topics with these names, in order of name; 0 if there is none of them.
pub(super) fn metadata_hash<'a>(names: impl Iterator<Item = &'a Str>, image: &Image) -> i64 {
    let mut bytes = Vec::new();
    for name in names {
        if let Some(hash) = topic_hash(name, image) {
            bytes.extend_from_slice(&hash.to_le_bytes());
        }
    }
    if bytes.is_empty() { 0 } else { xxh3(&bytes) as i64 }
}

/// Id, name, number of partitions, and of each partition the racks where it has replicas.
fn topic_hash(name: &Str, image: &Image) -> Option<u64> {
    let topic = image.topic(name)?;
    let id = u128::from_be_bytes(topic.id.0);
    let mut bytes = vec![MAGIC];
    bytes.extend_from_slice(&((id >> 64) as u64).to_le_bytes());
    bytes.extend_from_slice(&(id as u64).to_le_bytes());
    put_text(&mut bytes, name);
    put_int(&mut bytes, topic.partitions.len());
    for (index, (_, partition)) in topic.partitions.iter().enumerate() {
        put_int(&mut bytes, index);
        let mut racks: Vec<&Str> =
            partition.replicas.iter().filter_map(|it| image.broker(*it)?.rack.as_ref()).collect();
        ordered::sort(&mut racks);
        for rack in racks {
            put_int(&mut bytes, rack.encode_utf16().count());
            put_text(&mut bytes, rack);
        }
    }
    Some(xxh3(&bytes))
}

fn put_int(bytes: &mut Vec<u8>, number: usize) {
    bytes.extend_from_slice(&(number as u32).to_le_bytes());
}

/// As Java keeps text, with its length behind it.
fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let before = bytes.len();
    for unit in text.encode_utf16() {
        bytes.extend_from_slice(&unit.to_le_bytes());
    }
    let units = (bytes.len() - before) / 2;
    put_int(bytes, units);
}

const PRIME32_1: u64 = 0x9E37_79B1;
const PRIME32_2: u64 = 0x85EB_CA77;
const PRIME32_3: u64 = 0xC2B2_AE3D;
const PRIME64_1: u64 = 0x9E37_79B1_85EB_CA87;
const PRIME64_2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const PRIME64_3: u64 = 0x1656_67B1_9E37_79F9;
const PRIME64_4: u64 = 0x85EB_CA77_C2B2_AE63;
const PRIME64_5: u64 = 0x27D4_EB2F_1656_67C5;
const PRIME_MX1: u64 = 0x1656_6791_9E37_79F9;
const PRIME_MX2: u64 = 0x9FB2_1C65_1E98_DF25;

#[rustfmt::skip]
const SECRET: [u8; 192] = [
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c, 0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb,
    0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f, 0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c, 0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb,
    0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3, 0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d, 0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31,
    0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64, 0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e, 0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc,
    0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce, 0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
];

/// XXH3, 64 bits, without a seed.
fn xxh3(data: &[u8]) -> u64 {
    let length = data.len();
    match length {
        0 => avalanche_64(secret(56) ^ secret(64)),
        1..=3 => {
            let [first, middle, last] = [data[0], data[length >> 1], data[length - 1]].map(u64::from);
            let combined = first << 16 | middle << 24 | last | (length as u64) << 8;
            avalanche_64(combined ^ u64::from(word(&SECRET, 0) ^ word(&SECRET, 4)))
        }
        4..=8 => {
            let input = u64::from(word(data, length - 4)) + (u64::from(word(data, 0)) << 32);
            let mut hash = input ^ secret(8) ^ secret(16);
            hash ^= hash.rotate_left(49) ^ hash.rotate_left(24);
            hash = hash.wrapping_mul(PRIME_MX2);
            hash ^= (hash >> 35).wrapping_add(length as u64);
            hash = hash.wrapping_mul(PRIME_MX2);
            hash ^ hash >> 28
        }
        9..=16 => {
            let low = double(data, 0) ^ secret(24) ^ secret(32);
            let high = double(data, length - 8) ^ secret(40) ^ secret(48);
            let sum = (length as u64).wrapping_add(low.swap_bytes()).wrapping_add(high);
            avalanche(sum.wrapping_add(fold(low, high)))
        }
        17..=128 => {
            let mut sum = (length as u64).wrapping_mul(PRIME64_1);
            for step in (0..length.div_ceil(32)).rev() {
                sum = sum.wrapping_add(mix(data, 16 * step, 32 * step));
                sum = sum.wrapping_add(mix(data, length - 16 * (step + 1), 32 * step + 16));
            }
            avalanche(sum)
        }
        129..=240 => {
            let mut sum = (length as u64).wrapping_mul(PRIME64_1);
            for step in 0..8 {
                sum = sum.wrapping_add(mix(data, 16 * step, 16 * step));
            }
            sum = avalanche(sum);
            for step in 8..length / 16 {
                sum = sum.wrapping_add(mix(data, 16 * step, 16 * (step - 8) + 3));
            }
            avalanche(sum.wrapping_add(mix(data, length - 16, 119)))
        }
        _ => long(data),
    }
}

fn long(data: &[u8]) -> u64 {
    let mut lanes = [PRIME32_3, PRIME64_1, PRIME64_2, PRIME64_3, PRIME64_4, PRIME32_2, PRIME64_5, PRIME32_1];
    let length = data.len();
    // The last stripe is taken from the end, whatever else of it was taken before.
    for stripe in 0..(length - 1) / 64 {
        accumulate(&mut lanes, data, 64 * stripe, 8 * (stripe % 16));
        if stripe % 16 == 15 {
            for (index, lane) in lanes.iter_mut().enumerate() {
                *lane ^= *lane >> 47;
                *lane = (*lane ^ secret(128 + 8 * index)).wrapping_mul(PRIME32_1);
            }
        }
    }
    accumulate(&mut lanes, data, length - 64, 121);
    let mut sum = (length as u64).wrapping_mul(PRIME64_1);
    for pair in 0..4 {
        let (one, other) = (lanes[2 * pair] ^ secret(11 + 16 * pair), lanes[2 * pair + 1] ^ secret(19 + 16 * pair));
        sum = sum.wrapping_add(fold(one, other));
    }
    avalanche(sum)
}

fn accumulate(lanes: &mut [u64; 8], data: &[u8], at: usize, secret_at: usize) {
    for index in 0..8 {
        let value = double(data, at + 8 * index);
        let key = value ^ secret(secret_at + 8 * index);
        lanes[index ^ 1] = lanes[index ^ 1].wrapping_add(value);
        lanes[index] = lanes[index].wrapping_add((key & 0xFFFF_FFFF).wrapping_mul(key >> 32));
    }
}

fn mix(data: &[u8], at: usize, secret_at: usize) -> u64 {
    fold(double(data, at) ^ secret(secret_at), double(data, at + 8) ^ secret(secret_at + 8))
}

fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product as u64) ^ (product >> 64) as u64
}

fn avalanche(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 37).wrapping_mul(PRIME_MX1);
    hash ^ hash >> 32
}

fn avalanche_64(mut hash: u64) -> u64 {
    hash = (hash ^ hash >> 33).wrapping_mul(PRIME64_2);
    hash = (hash ^ hash >> 29).wrapping_mul(PRIME64_3);
    hash ^ hash >> 32
}

fn secret(at: usize) -> u64 {
    double(&SECRET, at)
}

fn double(data: &[u8], at: usize) -> u64 {
    u64::from(word(data, at)) | u64::from(word(data, at + 4)) << 32
}

fn word(data: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([data[at], data[at + 1], data[at + 2], data[at + 3]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::messages::{PartitionRecord, TopicRecord};
    use protocol::{MetadataRecord, Offset, Uuid};

    /// As Apache Kafka 4.3.1 wrote it down of a topic of its own.
    #[test]
    fn a_group_of_one_topic_has_kafkas_hash() {
        let topic_id: Uuid = "C1mMgrCCSUq0BnXvyIUSMw".parse().expect("it is an id");
        let name = Str::from_static("tc");
        let mut image = Image::default();
        let mut records = vec![MetadataRecord::Topic(TopicRecord { name: name.clone(), topic_id })];
        for partition_id in 0..2 {
            let (replicas, directories) = (vec![1], vec![Uuid([1; 16])]);
            let partition = PartitionRecord { topic_id, partition_id, replicas, directories, ..Default::default() };
            records.push(MetadataRecord::Partition(partition));
        }
        for (offset, record) in records.iter().enumerate() {
            image.apply(Offset(offset as i64), record).expect("it fits");
        }
        assert_eq!(metadata_hash([&name].into_iter(), &image), -2205867723003201287);
        assert_eq!(metadata_hash([&Str::from_static("none")].into_iter(), &image), 0);
    }

    /// As `Hashing.xxh3_64()` of the library that Apache Kafka uses has them.
    #[test]
    fn it_is_xxh3_at_every_length() {
        let known: [(usize, i64); 22] = [
            (0, 3244421341483603138),
            (1, 1433843135270481901),
            (3, -6266602912829716452),
            (4, 7895465118229274323),
            (8, 6941064856527638883),
            (9, -72226354546400344),
            (16, -5131753158909839995),
            (17, 8163341949877205007),
            (32, 1873302701886544469),
            (33, 4486878507168070088),
            (64, 2917965298538373825),
            (65, -9038134159117547962),
            (97, 2137665177113230204),
            (128, 7440608504995537343),
            (129, -4150982730466284604),
            (200, 8389308914288017243),
            (240, 7229805477010515663),
            (241, -8364630114420064745),
            (1023, -3284946428344021948),
            (1024, -7241394453710343503),
            (1025, -9192937061388044938),
            (5000, 8762507191635236893),
        ];
        for (length, hash) in known {
            let data: Vec<u8> = (0..length).map(|it| (it * 7 + 3) as u8).collect();
            assert_eq!(xxh3(&data) as i64, hash, "of {length} bytes");
        }
    }
}
