//! Bytes from a network never panic, and never make us take memory that they do not justify.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::cmp::Ordering;

use bytes::{Bytes, BytesMut};
use protocol::message::{decode, decode_dyn, encode_dyn, walk_dyn};
use protocol::messages::{
    GroupKey, GroupValue, MetadataRequest, MetadataResponse, ProduceRequest, SCHEMAS, TransactionKey, TransactionValue,
    by_key, spoken,
};
use protocol::records::Records;
use protocol::walker::{Tags, Walked, Walker};
use protocol::{ApiKey, MetadataRecord, ProtocolError, RequestError, Str, Uuid, explain, frame};

use crate::common::{Filler, Random};

/// Counts what each thread allocates.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    // A thread that ends allocates after its variables are gone.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + change);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// The system's allocator does the work, so its promises hold.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most memory that `work` had at a time.
fn peak(work: impl FnOnce()) -> usize {
    LIVE.set(0);
    PEAK.set(0);
    work();
    PEAK.get() as usize
}

/// The bound on the memory for a message of so many bytes, errors and the message's own struct included.
fn allowed(bytes: usize) -> usize {
    bytes * 48 + (64 << 10) + (16 << 10)
}

/// A decoded message either is an error or stands for itself.
fn decode_as_anything(bytes: &Bytes) {
    for schema in SCHEMAS {
        for version in [*schema.versions.start(), *schema.versions.end()] {
            let taken = peak(|| {
                if let Ok(mut message) = decode_dyn(schema, bytes.clone(), version) {
                    encode_dyn(&mut *message, version, &mut BytesMut::new())
                        .unwrap_or_else(|error| panic!("{} v{version} read {bytes:?}: {error}", schema.name));
                }
            });
            assert!(taken <= 2 * allowed(bytes.len()), "{} v{version}: {taken} for {}", schema.name, bytes.len());
        }
    }
}

#[test]
fn every_truncation_of_every_message_is_an_error() {
    for schema in SCHEMAS {
        for version in schema.versions.clone() {
            let mut message = (schema.create)();
            walk_dyn(&mut *message, &mut Filler::new(version as u64), version).unwrap();
            let mut bytes = BytesMut::new();
            encode_dyn(&mut *message, version, &mut bytes).unwrap();
            let bytes = bytes.freeze();
            for length in 0..bytes.len() {
                let result = decode_dyn(schema, bytes.slice(..length), version);
                assert!(result.is_err(), "{} v{version} at {length} of {}", schema.name, bytes.len());
            }
            let trailing: Bytes = [&bytes[..], &[0]].concat().into();
            let error = decode_dyn(schema, trailing, version).map(|_| ()).unwrap_err();
            assert_eq!(error.position(), Some(bytes.len()));
            assert!(error.to_string().contains("expected the end, 1 bytes follow"), "{error}");
        }
    }
}

#[test]
fn random_and_damaged_bytes_never_panic() {
    let mut random = Random(1);
    for _ in 0..150 {
        decode_as_anything(&random.bytes(300));
    }
    for byte in [0x00, 0x01, 0x7f, 0x80, 0xff] {
        decode_as_anything(&Bytes::from(vec![byte; 200]));
    }
}

#[test]
fn a_damaged_byte_anywhere_never_panics() {
    let mut random = Random(2);
    for schema in SCHEMAS {
        let version = *schema.versions.end();
        let mut message = (schema.create)();
        walk_dyn(&mut *message, &mut Filler::new(3), version).unwrap();
        let mut bytes = BytesMut::new();
        encode_dyn(&mut *message, version, &mut bytes).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << random.below(8);
            damaged[at / 2] = random.next() as u8;
            let damaged = damaged.freeze();
            let decodes = decode_dyn(schema, damaged.clone(), version).is_ok();
            assert_eq!(explain::message(schema, version, damaged).error.is_none(), decodes, "{}", schema.name);
        }
    }
}

#[test]
fn random_frames_and_values_never_panic() {
    let mut random = Random(4);
    for api in ApiKey::ALL {
        for version in api.versions() {
            let mut request = vec![0, api.code() as u8, 0, version as u8, 0, 0, 0, 1, 0xff, 0xff, 0];
            request.extend_from_slice(&random.bytes(200));
            let request = Bytes::from(request);
            let decodes = frame::decode_request(request.clone()).is_ok();
            // A person is told of bytes behind the body, which a broker ignores.
            let wrong = explain::request(request.clone(), spoken).error.map(|it| it.to_string());
            assert_eq!(wrong.is_none_or(|it| it.contains("expected the end")), decodes);
            let _ = explain::request(request, by_key);
            let response = random.bytes(200);
            let decodes = frame::decode_response(api, version, response.clone()).is_ok();
            assert_eq!(explain::response(api, version, response.clone(), spoken).error.is_none(), decodes);
            let _ = explain::response(api, version, response, by_key);
        }
    }
    for _ in 0..20_000 {
        let bytes = random.bytes(60);
        let _ = frame::decode_request(bytes.clone());
        let _ = MetadataRecord::decode(bytes.clone());
        let _ = GroupKey::decode(bytes.clone());
        let _ = TransactionKey::decode(bytes.clone());
        let _ = GroupValue::decode(random.below(25) as i16, bytes.clone());
        let _ = TransactionValue::decode(0, bytes);
    }
}

#[test]
fn huge_lengths_allocate_nothing() {
    let cases: [(&[u8], i16, &str); 5] = [
        // An array of 2^31 - 1 topics in eight bytes.
        (
            &[0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0],
            1,
            "MetadataRequest.Topics: expected 2147483647 more bytes, 4 are left at byte 4",
        ),
        (&[0x80, 0, 0, 0], 1, "MetadataRequest.Topics: expected a length, found -2147483648 at byte 0"),
        // A compact length of 2^32 - 2.
        (
            &[0xff, 0xff, 0xff, 0xff, 0x0f, 0],
            9,
            "MetadataRequest.Topics: expected a length, found 4294967294 at byte 0",
        ),
        // A varint that does not end.
        (&[0xff; 12], 9, "MetadataRequest.Topics: expected a varint of 32 bits at byte 0"),
        // A topic whose name is longer than the frame.
        (
            &[0, 0, 0, 1, 0x7f, 0xff, b'a'],
            1,
            "MetadataRequest.Topics[0].Name: expected 32767 more bytes, 1 are left at byte 6",
        ),
    ];
    for (bytes, version, expected) in cases {
        let taken = peak(|| {
            let error = decode::<MetadataRequest>(Bytes::from_static(bytes), version).unwrap_err();
            assert_eq!(error.to_string(), expected);
        });
        assert!(taken < 4096, "{taken} bytes for {expected}");
    }
}

#[test]
fn arrays_that_need_more_memory_than_their_bytes_justify_are_refused() {
    // A million topics of one byte each. Before them: throttle time, no brokers, null cluster id, controller.
    let count = 1_000_000u32;
    let mut frame = vec![0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
    let mut length = count + 1;
    while length > 0x7f {
        frame.push(length as u8 | 0x80);
        length >>= 7;
    }
    frame.push(length as u8);
    frame.resize(frame.len() + count as usize, 1);
    let size = frame.len();
    let taken = peak(|| {
        let error = decode::<MetadataResponse>(frame.into(), 12).unwrap_err();
        assert_eq!(
            error.to_string(),
            "MetadataResponse.Topics: expected less memory to be needed for so few bytes at byte 10"
        );
    });
    assert!(taken <= allowed(size), "{taken}");
}

/// Makes arrays of the smallest elements there are: one level of them long, the levels around it of one element.
struct Smallest {
    depth: usize,
    long: usize,
}

/// How many elements the long arrays have: enough for the fixed allowance not to matter.
const MANY: usize = 10_000;

impl Walker for Smallest {
    fn reads(&self) -> bool {
        true
    }
    fn begin_message(&mut self, _: &'static str, _: bool) {}
    fn set_flexible(&mut self, _: bool) {}
    fn bool(&mut self, _: &'static str, _: &mut bool) -> Walked {
        Ok(())
    }
    fn i8(&mut self, _: &'static str, _: &mut i8) -> Walked {
        Ok(())
    }
    fn i16(&mut self, _: &'static str, _: &mut i16) -> Walked {
        Ok(())
    }
    fn u16(&mut self, _: &'static str, _: &mut u16) -> Walked {
        Ok(())
    }
    fn i32(&mut self, _: &'static str, _: &mut i32) -> Walked {
        Ok(())
    }
    fn u32(&mut self, _: &'static str, _: &mut u32) -> Walked {
        Ok(())
    }
    fn i64(&mut self, _: &'static str, _: &mut i64) -> Walked {
        Ok(())
    }
    fn f64(&mut self, _: &'static str, _: &mut f64) -> Walked {
        Ok(())
    }
    fn uuid(&mut self, _: &'static str, _: &mut Uuid) -> Walked {
        Ok(())
    }
    fn string(&mut self, _: &'static str, _: &mut Str) -> Walked {
        Ok(())
    }
    fn bytes(&mut self, _: &'static str, _: &mut Bytes) -> Walked {
        Ok(())
    }
    fn nullable_string(&mut self, _: &'static str, value: &mut Option<Str>, nullable: bool) -> Walked {
        *value = (!nullable).then(Str::new);
        Ok(())
    }
    fn nullable_bytes(&mut self, _: &'static str, value: &mut Option<Bytes>, nullable: bool) -> Walked {
        *value = (!nullable).then(Bytes::new);
        Ok(())
    }
    fn records(&mut self, _: &'static str, value: &mut Option<Records>, nullable: bool) -> Walked {
        *value = (!nullable).then(Records::default);
        Ok(())
    }
    fn begin_array(
        &mut self,
        _: &'static str,
        _: Option<usize>,
        _: bool,
        _: usize,
    ) -> Result<Option<usize>, ProtocolError> {
        self.depth += 1;
        Ok(Some(match self.depth.cmp(&self.long) {
            Ordering::Less => 1,
            Ordering::Equal => MANY,
            Ordering::Greater => 0,
        }))
    }
    fn end_array(&mut self) {
        self.depth -= 1;
    }
    fn begin_struct(&mut self, _: &'static str) {}
    fn end_struct(&mut self) {}
    fn presence(&mut self, _: &'static str, _: bool, nullable: bool) -> Result<bool, ProtocolError> {
        Ok(!nullable)
    }
    fn begin_tags(&mut self, _: u32) -> Result<Tags, ProtocolError> {
        Ok(Tags::default())
    }
    fn next_tag(&mut self, _: &mut Tags, _: u32) -> Result<Option<u32>, ProtocolError> {
        Ok(None)
    }
}

#[test]
fn no_well_formed_message_is_refused_for_its_small_elements() {
    for schema in SCHEMAS {
        for (version, long) in schema.versions.clone().flat_map(|version| (1..=4).map(move |long| (version, long))) {
            let mut message = (schema.create)();
            walk_dyn(&mut *message, &mut Smallest { depth: 0, long }, version).unwrap();
            let mut bytes = BytesMut::new();
            encode_dyn(&mut *message, version, &mut bytes).unwrap();
            let size = bytes.len();
            let taken = peak(|| {
                if let Err(error) = decode_dyn(schema, bytes.freeze(), version) {
                    panic!("{} v{version}: {error}", schema.name);
                }
            });
            assert!(taken <= allowed(size), "{} v{version}: {taken} for {size}", schema.name);
        }
    }
}

#[test]
fn a_null_or_a_tag_of_the_wrong_length_is_told() {
    let error = decode::<MetadataRequest>(Bytes::from_static(&[0, 0, 0, 1, 0xff, 0xff]), 1).unwrap_err();
    assert_eq!(error.to_string(), "MetadataRequest.Topics[0].Name: expected a value, found null at byte 4");
    // FetchRequest: ClusterId is tag 0, here of two bytes, of which the string takes one.
    let mut bytes = vec![0; 4 + 4 + 4 + 1 + 4 + 4];
    bytes.extend_from_slice(&[1, 1, 1, /* one tag */ 1, /* tag */ 0, /* length */ 2, 1, 0]);
    let error = decode::<protocol::messages::FetchRequest>(bytes.into(), 16).unwrap_err();
    assert_eq!(error.to_string(), "FetchRequest: expected a tagged field of 2 bytes, its content took 1 at byte 28");
}

#[test]
fn unknown_tags_are_passed_over() {
    let plain: MetadataRequest = decode(Bytes::from_static(&[1, 0, 0, 0, 0]), 9).unwrap();
    // The same with two tags that no definition has: 5, of three bytes, and 5000, of none.
    let tagged = Bytes::from_static(&[1, 0, 0, 0, 2, 5, 3, b'a', b'b', b'c', 0x88, 0x27, 0]);
    assert_eq!(decode(tagged, 9), Ok(plain));
}

#[test]
fn requests_that_cannot_be_served_are_told_apart() {
    let request = |bytes: &'static [u8]| frame::decode_request(Bytes::from_static(bytes)).unwrap_err();
    let unsupported = request(&[0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0]);
    assert_eq!(
        unsupported,
        RequestError::UnsupportedVersion { api: ApiKey::ApiVersions, version: 99, correlation_id: 7 }
    );
    // Kafka knows it, nobody here does.
    assert_eq!(
        request(&[0, 24, 0, 0, 0, 0, 0, 7, 0xff, 0xff]),
        RequestError::UnspokenApi { api: ApiKey::AddPartitionsToTxn, version: 0 }
    );
    // LeaderAndIsr was retired in Kafka 4.
    assert_eq!(request(&[0, 4, 0, 1, 0, 0, 0, 7]), RequestError::UnknownApi { api_key: 4, version: 1 });
    // Produce v2 is advertised for the sake of librdkafka and refused all the same.
    assert!(matches!(
        request(&[0, 0, 0, 2, 0, 0, 0, 7, 0xff, 0xff]),
        RequestError::UnsupportedVersion { api: ApiKey::Produce, version: 2, .. }
    ));
    let RequestError::Malformed(error) = request(&[0, 18, 0]) else { panic!("not malformed") };
    assert_eq!(error.to_string(), "RequestHeader: expected 2 more bytes, 1 are left at byte 2");
    let error = decode::<ProduceRequest>(Bytes::from_static(&[0xff]), 3).unwrap_err();
    assert_eq!(error.to_string(), "ProduceRequest.TransactionalId: expected 2 more bytes, 1 are left at byte 0");
}
