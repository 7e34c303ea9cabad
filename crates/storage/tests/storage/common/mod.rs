//! What the tests of this crate share: batches, and a node's end of a log (its shape beside its store).

use protocol::records::{BatchBuilder, BatchHead, Batches, Compression, PureCompressors, read};
use protocol::{FileId, LeaderEpoch, Offset, ProducerEpoch, ProducerId, Region, Str, Uuid, WallMs};
use storage::{
    Appended, DirId, Done, LogId, LogRules, LogSpec, Lookup, MemoryDisk, Plan, Seek, SegmentRules, Shape, Store,
    StoreError, StoreOp, TimestampOffset,
};

pub(crate) const LOG: LogId = LogId(7);
pub(crate) const DIR: DirId = DirId(0);
pub(crate) const FIRST: FileId = FileId(7 << 32);

/// The path of the segment that begins at an offset.
pub(crate) fn log_path(base: i64) -> String {
    format!("orders-0/{base:020}.log")
}

pub(crate) fn spec() -> LogSpec {
    LogSpec {
        dir: DIR,
        topic: Str::from("orders"),
        partition: 0,
        topic_id: Uuid([5; 16]),
        create: true,
        synced: false,
        replicated: false,
        compacted: false,
        segments: SegmentRules::default(),
    }
}

/// A batch of records with these timestamps; the values are as long as asked for.
pub(crate) fn batch_of(timestamps: &[i64], value: usize) -> Batches {
    let mut builder = BatchBuilder::new(Compression::None);
    for timestamp in timestamps {
        builder.push(WallMs(*timestamp), Some(b"key"), Some(&vec![b'v'; value]), &[]);
    }
    builder.build_batches(&PureCompressors).unwrap()
}

/// A batch of so many records.
pub(crate) fn batch(count: usize) -> Batches {
    batch_of(&vec![1_000; count], 20)
}

/// A batch of an idempotent producer.
pub(crate) fn produced(id: i64, epoch: i16, sequence: i32, count: i32) -> Batches {
    let mut builder = BatchBuilder::new(Compression::None).producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    for _ in 0..count {
        builder.push(WallMs(1_000), None, Some(b"value"), &[]);
    }
    builder.build_batches(&PureCompressors).unwrap()
}

/// A log as its node and its driver hold it together.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) shape: Shape,
    pub(crate) store: Store<MemoryDisk>,
    pub(crate) rules: LogRules,
    pub(crate) epoch: LeaderEpoch,
}

impl Node {
    pub(crate) fn new() -> Node {
        Node::on(MemoryDisk::new()).unwrap()
    }

    pub(crate) fn on(disk: MemoryDisk) -> Result<Node, StoreError> {
        let mut store = Store::new(disk);
        let shape = mounted(&mut store)?;
        Ok(Node { shape, store, rules: LogRules::default(), epoch: LeaderEpoch(0) })
    }

    pub(crate) fn rules(mut self, rules: LogRules) -> Node {
        self.rules = rules;
        self
    }

    pub(crate) fn try_append(&mut self, batches: Batches) -> Result<Appended, StoreError> {
        let appended = self.shape.append(batches, self.epoch, &self.rules, WallMs(5_000)).unwrap();
        for op in appended.ops.clone() {
            self.store.execute(op)?;
        }
        self.shape.written(appended.end());
        Ok(appended)
    }

    pub(crate) fn append(&mut self, batches: Batches) -> Appended {
        self.try_append(batches).unwrap()
    }

    pub(crate) fn run(&mut self, ops: impl IntoIterator<Item = StoreOp>) {
        for op in ops {
            self.store.execute(op).unwrap();
        }
    }

    pub(crate) fn flush(&mut self) {
        let (op, end) = self.shape.flush();
        assert_eq!(self.store.execute(op), Ok(Done::Flushed));
        self.shape.synced(end);
    }

    pub(crate) fn truncate(&mut self, offset: i64) {
        let op = self.shape.truncate(Offset(offset));
        let Ok(Done::Truncated(rebuilt)) = self.store.execute(op) else { panic!("not truncated") };
        self.shape.adopt(*rebuilt);
    }

    /// kill -9 and a new start.
    pub(crate) fn restart(self) -> Result<Node, StoreError> {
        let mut disk = self.store.into_disk();
        disk.crash();
        Ok(Node { rules: self.rules, epoch: self.epoch, ..Node::on(disk)? })
    }

    /// The power fails; a new start.
    pub(crate) fn power_cut(self) -> Result<Node, StoreError> {
        let mut disk = self.store.into_disk();
        disk.power_cut();
        Ok(Node { rules: self.rules, epoch: self.epoch, ..Node::on(disk)? })
    }

    /// The regions of a read, wherever they come from.
    pub(crate) fn regions(&mut self, offset: i64, max_bytes: u32) -> Vec<Region> {
        let end = self.shape.end();
        match self.shape.plan_read(Offset(offset), end, max_bytes) {
            Plan::Regions(regions, _) => regions,
            Plan::Seek(seek) => self.find(seek),
            Plan::Empty => Vec::new(),
            Plan::OutOfRange => panic!("{offset} is out of range"),
        }
    }

    pub(crate) fn find(&mut self, seek: Seek) -> Vec<Region> {
        match self.store.execute(StoreOp::Find(LOG, self.shape.era(), seek)) {
            Ok(Done::Found(regions)) => regions,
            other => panic!("{other:?}"),
        }
    }

    /// All heads from an offset on, read the way a consumer would.
    pub(crate) fn heads(&mut self, offset: i64) -> Vec<BatchHead> {
        let mut heads = Vec::new();
        for region in self.regions(offset, u32::MAX) {
            let Ok(Done::Loaded(bytes)) = self.store.execute(StoreOp::Load(region)) else { panic!("{region:?}") };
            heads.extend(read(&bytes, &PureCompressors).map(|batch| batch.unwrap().0));
        }
        heads
    }

    /// The first record at or after a time, wherever the answer comes from.
    pub(crate) fn time(&mut self, timestamp: i64) -> Option<TimestampOffset> {
        let end = self.shape.end();
        match self.shape.offset_for_timestamp(timestamp, end) {
            Lookup::Found(found) => Some(found),
            Lookup::Nothing => None,
            Lookup::Seek(seek) => match self.store.execute(StoreOp::Find(LOG, self.shape.era(), seek)) {
                Ok(Done::FoundTimestamp(found)) => found,
                other => panic!("{other:?}"),
            },
        }
    }

    /// True if a record from the log start up is at or after the time, found by reading them all.
    pub(crate) fn has_time(&mut self, timestamp: i64) -> bool {
        let start = self.shape.log_start();
        let mut found = false;
        for region in self.regions(start.0, u32::MAX) {
            let Ok(Done::Loaded(bytes)) = self.store.execute(StoreOp::Load(region)) else { panic!("{region:?}") };
            let records = read(&bytes, &PureCompressors).flat_map(|batch| batch.unwrap().1);
            found |= records.into_iter().any(|record| record.offset >= start && record.timestamp.0 >= timestamp);
        }
        found
    }

    /// Base and last offset of all batches.
    pub(crate) fn spans(&mut self) -> Vec<(i64, i64)> {
        let start = self.shape.log_start().0;
        self.heads(start).iter().map(|head| (head.base_offset.0, head.last_offset().0)).collect()
    }

    /// Overwrites bytes of a file behind the store's back.
    pub(crate) fn scribble(&mut self, path: &str, at: u64, bytes: &[u8]) {
        use storage::Disk;
        let disk = self.store.disk_mut();
        let file = disk.open(DIR, path, false).unwrap();
        disk.write_at(&file, at, &[bytes.to_vec().into()]).unwrap();
        disk.sync(&file).unwrap();
    }

    /// Cuts or extends a file behind the store's back.
    pub(crate) fn resize(&mut self, path: &str, len: u64) {
        use storage::Disk;
        let disk = self.store.disk_mut();
        let file = disk.open(DIR, path, false).unwrap();
        disk.set_len(&file, len).unwrap();
        disk.sync(&file).unwrap();
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.store.disk().files().into_iter().map(|(_, path, _)| path).collect()
    }
}

pub(crate) fn mounted(store: &mut Store<MemoryDisk>) -> Result<Shape, StoreError> {
    match store.execute(StoreOp::Mount(LOG, spec()))? {
        Done::Mounted(shape) => Ok(*shape),
        other => panic!("{other:?}"),
    }
}

/// Rolls after a few batches.
pub(crate) fn small_segments(bytes: i32) -> LogRules {
    LogRules { segment_bytes: bytes, ..LogRules::default() }
}

/// Numbers that look random and are the same everywhere (xorshift64*).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound
    }
}
