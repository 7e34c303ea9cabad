//! Random histories of a log, compared with the simplest log there is: a list of batches.

use protocol::{LeaderEpoch, Offset, WallMs};
use storage::Retention;

use crate::common::{Node, Random, batch_of, log_path, produced, small_segments};

/// What a log must hold.
#[derive(Clone, Debug, Default)]
struct Model {
    batches: Vec<(i64, i64)>,
    end: i64,
    start: i64,
    synced: i64,
}

impl Model {
    fn append(&mut self, count: i64) {
        self.batches.push((self.end, self.end + count - 1));
        self.end += count;
    }

    fn truncate(&mut self, offset: i64) {
        // A batch that holds the offset goes whole.
        let holder = self.batches.iter().find(|(first, last)| (*first..=*last).contains(&offset));
        self.end = holder.map_or(offset, |(first, _)| *first);
        self.batches.retain(|(_, last)| *last < offset);
        self.synced = self.end;
        self.start = self.start.min(self.end);
    }

    /// What a reader that begins at the log start sees.
    fn spans(&self) -> Vec<(i64, i64)> {
        self.batches.iter().copied().filter(|(_, last)| *last >= self.start).collect()
    }
}

fn run(seed: u64) {
    let mut random = Random(seed);
    let mut node = Node::new().rules(small_segments(500 + random.below(1_500) as i32));
    let mut model = Model::default();
    let mut sequence = 0;
    for step in 0..120 {
        match random.below(20) {
            0..=9 => {
                let count = 1 + random.below(4);
                let timestamps: Vec<i64> = (0..count).map(|_| random.below(10_000) as i64).collect();
                node.append(batch_of(&timestamps, random.below(60) as usize));
                model.append(count as i64);
            }
            10 => {
                node.append(produced(1, 0, sequence, 2));
                sequence += 2;
                model.append(2);
            }
            11 => {
                node.flush();
                model.synced = model.end;
            }
            12 => node.epoch = LeaderEpoch(node.epoch.0 + 1),
            13 => {
                let first = node.shape.segments().next().unwrap().base.0;
                let low = model.start.max(first);
                let offset = low + random.below((model.end - low + 1) as u64) as i64;
                node.truncate(offset);
                model.truncate(offset);
            }
            14 => {
                let start = model.start + random.below((model.end - model.start + 1) as u64) as i64;
                let ops = node.shape.advance_log_start(Offset(start));
                node.run(ops);
                model.start = start;
            }
            15 => {
                let keep = Retention { ms: -1, bytes: random.below(4_000) as i64 };
                let ops = node.shape.retention(WallMs(0), Offset(model.end), keep);
                node.run(ops);
                model.start = node.shape.log_start().0;
            }
            16 | 17 => {
                node = node.restart().unwrap();
                // No checkpoint was written: the first file's base is all that is known of the log start.
                restore_start(&mut node, &mut model);
            }
            18 => {
                node = node.power_cut().unwrap();
                let end = node.shape.end().0;
                assert!((model.synced..=model.end).contains(&end), "seed {seed} step {step}: {end} of {model:?}");
                model.batches.retain(|(_, last)| *last < end);
                model.end = end;
                restore_start(&mut node, &mut model);
            }
            _ => {
                let torn = 1 + random.below(80);
                let active = *node.shape.segments().next_back().unwrap();
                let path = log_path(active.base.0);
                node.resize(&path, u64::from(active.size) + torn);
                node = node.restart().unwrap();
                restore_start(&mut node, &mut model);
            }
        }
        compare(&mut node, &model, &mut random, seed, step);
    }
}

/// A start without checkpoints knows no deleted records within a file.
fn restore_start(node: &mut Node, model: &mut Model) {
    model.synced = model.end;
    let found = node.shape.log_start().0;
    assert!(found <= model.start || found <= model.end, "{found} of {model:?}");
    model.start = found;
    model.batches.retain(|(_, last)| *last >= found);
}

fn compare(node: &mut Node, model: &Model, random: &mut Random, seed: u64, step: u32) {
    let place = format!("seed {seed} step {step}");
    assert_eq!(node.shape.end().0, model.end, "{place}");
    assert_eq!(node.shape.written_end(), node.shape.end(), "{place}");
    assert_eq!(node.shape.log_start().0, model.start, "{place}");
    assert_eq!(node.spans(), model.spans(), "{place}");
    if model.start < model.end {
        // From anywhere a read begins with the batch that holds the offset.
        let offset = model.start + random.below((model.end - model.start) as u64) as i64;
        let heads = node.heads(offset);
        assert!(heads[0].base_offset.0 <= offset && offset <= heads[0].last_offset().0, "{place}: {offset}");
        let timestamp = random.below(10_000) as i64;
        let newest = node.heads(model.start).iter().map(|head| head.max_timestamp).max().unwrap();
        let found = node.time(timestamp);
        assert_eq!(found.is_some(), node.has_time(timestamp), "{place}: {timestamp} of {newest}");
        assert!(found.is_none_or(|found| found.timestamp >= timestamp), "{place}");
    }
    let files: u64 = node.shape.segments().map(|segment| u64::from(segment.size)).sum();
    let on_disk: usize = node
        .store
        .disk()
        .files()
        .iter()
        .filter(|(_, path, _)| path.ends_with(".log"))
        .map(|(_, _, bytes)| bytes.len())
        .sum();
    assert_eq!(files, on_disk as u64, "{place}");
}

#[test]
fn random_histories_are_what_the_model_says() {
    for seed in 1..=150 {
        run(seed);
    }
}
