//! Which records were sent, where each was appended, who read what.

use ordered::{Map, Set, SharedMap};

use protocol::records::{BatchHead, Compression, Compressors, PureCompressors, RecordViews};
use protocol::{Offset, Str, Uuid};

use super::repeats::Repeats;
use super::replica::{Epochs, Replica};
use super::{Entries, Tally, Told, Verdict};
use crate::queue::Pid;

/// A compressed batch may unpack to this much; producers' batches are far smaller.
const UNPACKED: usize = 64 << 20;

/// A record as its producer knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) print: u64,
    /// Where it was appended first, or where its producer was told that it is; -1 before that.
    pub(super) offset: i64,
    /// The events at which its producer heard of it, and was told what became of it; 0 before that. There is one of these for each
    /// record of a run, so it is small: steps end at four thousand million.
    pub(super) asked: u32,
    pub(super) settled: u32,
    /// The partition of the offset, by its number in the checks.
    pub(super) partition: u16,
    pub(super) told: Told,
    pub(super) appended: u8,
    /// Why it was not written, or may not have been: the number of a reason, from 1.
    pub(super) why: u8,
}

impl Sent {
    /// The event at which its producer heard of it, or will at the earliest if it has not: the one that comes next.
    pub(super) fn begins(&self, next: u64) -> u64 {
        if self.asked == 0 && self.told == Told::Pending { next } else { self.asked.into() }
    }
}

/// An event's number where there is one for each record.
pub(super) fn step(event: u64) -> u32 {
    u32::try_from(event).unwrap_or(u32::MAX)
}

/// A record as its partition knows it. There is one of these for each record of a run, so it is small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) print: u64,
    /// Its author's number of it, and its author, or [`NOBODY`].
    number: u64,
    client: Pid,
    /// Its batch's checksum: a copy with the same is the same.
    pub(super) crc: u32,
    pub(super) acked: bool,
    /// Its producer waited for all replicas in sync.
    pub(super) acked_by_all: bool,
}

/// The author of what nobody knows whose it is: a world has no such process.
const NOBODY: Pid = Pid(u16::MAX);

impl Entry {
    pub(super) fn new(print: u64, author: Option<Author>, crc: u32) -> Entry {
        let Author { client, number } = author.unwrap_or(Author { client: NOBODY, number: 0 });
        Entry { print, number, client, crc, acked: false, acked_by_all: false }
    }

    pub(super) fn author(&self) -> Option<Author> {
        (self.client != NOBODY).then_some(Author { client: self.client, number: self.number })
    }
}

/// Who sent a record, and as which of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Author {
    pub(crate) client: Pid,
    pub(crate) number: u64,
}

/// A client's records, and what it has read.
#[derive(Clone, Debug)]
pub(super) struct ClientLedger {
    pub(super) name: Str,
    /// `group.id`.
    pub(super) group: Option<Str>,
    /// `group.instance.id`.
    pub(super) instance: Option<Str>,
    /// Its group's members agree by the classic protocol.
    pub(super) is_classic: bool,
    pub(super) idempotent: bool,
    /// `acks=all`.
    pub(super) waits_for_all: bool,
    pub(super) tally: Tally,
    pub(super) sent: Entries<Sent>,
    /// The numbers of those that were not simply told ok and are there, in the order in which that was seen; perhaps more than once.
    pub(super) odd: Entries<u64>,
    /// How many it has heard of, or never will; and how many of those before it one overtook at most: a load's record is heard of
    /// as soon as there is one.
    pub(super) heard: u64,
    pub(super) overtaking: u64,
    /// The first record of the process that runs now.
    pub(super) first_of_life: u64,
    /// By partition.
    pub(super) read: Vec<Reader>,
}

/// Where a reader is in a partition.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reader {
    /// The next offset it must be given; `None` if any may come.
    pub(super) next: Option<i64>,
    /// The epoch of the last record that it was given.
    pub(super) epoch: i32,
    /// Where it was set back to, and has read nothing since.
    pub(super) reset_to: Option<i64>,
    pub(super) high_watermark: i64,
    /// Who told it, and in which of its lives: another one may know of a lower one.
    pub(super) told_by: (Pid, u32),
    /// How often the partition had lost records then.
    pub(super) losses: u32,
    /// The log was cut below `next`, and the reader was not told so far.
    pub(super) cut_to: Option<i64>,
}

/// A partition's records.
#[derive(Clone, Debug)]
pub(super) struct PartitionLedger {
    pub(super) topic: Str,
    pub(super) partition: i32,
    pub(super) topic_id: Uuid,
    pub(super) log_start: i64,
    pub(super) high_watermark: i64,
    /// One past the last acknowledged record.
    pub(super) acked_end: i64,
    /// What of the records below is of which epoch.
    pub(super) epochs: Epochs,
    /// Who appended the first record of each epoch.
    pub(super) leaders: Map<i32, Pid>,
    pub(super) replicas: Map<Pid, Replica>,
    /// Compaction has put segments in place that leave offsets out.
    pub(super) compacted: bool,
    /// The bits of it that somebody has flipped on disks.
    pub(super) rotten: Vec<Rot>,
    /// By offset, from 0.
    entries: Entries<Entry>,
    /// How often records were lost, how many of those were acknowledged, and which.
    pub(super) losses: u32,
    pub(super) acked_lost: u64,
    /// By offset, and in the order of the losses.
    lost: SharedMap<(i64, u32), Lost>,
    /// What was lost at once, and what that says about the contract, oldest first.
    pub(super) cuts: Vec<Cut>,
    /// Replicas that came back with less than they had, for the power or the disk was gone, and have not caught up since.
    pub(super) losers: Set<Pid>,
    /// Replicas whose process died, and that were not in sync since; true for those that are back.
    pub(super) died: Map<Pid, bool>,
    /// As the newest committed metadata says.
    pub(super) leader_epoch: i32,
    /// The newest in which somebody said that it leads.
    pub(super) led_epoch: i32,
    pub(super) partition_epoch: i32,
    pub(super) isr: Vec<Pid>,
    pub(super) elr: Vec<Pid>,
    pub(super) leader: Option<Pid>,
    /// The newest epoch whose leader may have been elected uncleanly: of what is older than that, it may lack what it likes.
    pub(super) unclean_epoch: i32,
    /// The last record of each client.
    last: Vec<(Pid, u64)>,
    pub(super) repeats: Repeats,
}

/// A bit of a replica that is not as it was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rot {
    pub(crate) replica: Pid,
    /// The batch that it is of begins there: nothing before it is hurt.
    pub(crate) from: i64,
    /// No checksum covers it, so that others may copy and read it.
    pub(crate) spreads: bool,
    /// Its replica was cut there since, and may lack what is committed until it has copied that again.
    pub(crate) is_cut: bool,
}

/// A record that was in some log and is not in the partition's.
#[derive(Clone, Copy, Debug)]
struct Lost {
    /// Of which leader's epoch it is.
    epoch: i32,
    entry: Entry,
    /// Even if all replicas in sync had it: the settings, or what became of disks, allow that.
    excused: bool,
}

/// From which offset up to which a partition lost records at an event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    pub(super) event: u64,
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) verdict: Verdict,
}

/// What a partition lost at once.
pub(super) struct Loss {
    pub(super) records: u64,
    pub(super) acked: u64,
    /// Those that all replicas in sync had, as their producer was told or their leader said.
    pub(super) committed: u64,
    /// Those of them that no unclean election explains: they are of its leader's epoch, or of a later one.
    pub(super) newer: u64,
    /// Who sent them.
    pub(super) authors: Vec<Author>,
}

impl ClientLedger {
    pub(super) fn new(name: Str, idempotent: bool, waits_for_all: bool) -> ClientLedger {
        ClientLedger {
            name,
            group: None,
            instance: None,
            is_classic: true,
            idempotent,
            waits_for_all,
            tally: Tally::default(),
            sent: Entries::default(),
            odd: Entries::default(),
            heard: 0,
            overtaking: 0,
            first_of_life: 0,
            read: Vec::new(),
        }
    }

    pub(super) fn reader(&mut self, index: usize) -> &mut Reader {
        if self.read.len() <= index {
            self.read.resize(index + 1, Reader::default());
        }
        &mut self.read[index]
    }

    /// Whatever has no outcome is unknown now, for this reason.
    pub(super) fn die(&mut self, event: u64, why: u8) {
        let mut open = self.tally.sent - self.tally.ok - self.tally.failed - self.tally.unknown;
        let mut index = self.sent.len();
        while open > 0 && index > 0 {
            index -= 1;
            if self.sent.at(index).is_some_and(|sent| sent.told == Told::Pending)
                && let Some(sent) = self.sent.at_mut(index)
            {
                (sent.told, sent.settled, sent.why) = (Told::Unknown, step(event), why);
                if sent.asked == 0 {
                    // It never heard of it: somebody wanted it after this event.
                    sent.asked = sent.settled;
                }
                self.odd.push(index as u64);
                self.tally.unknown += 1;
                open -= 1;
            }
        }
        self.first_of_life = self.tally.sent;
        self.heard = self.tally.sent;
        self.read.clear();
    }
}

impl PartitionLedger {
    pub(super) fn new(topic: &Str, partition: i32, topic_id: Uuid) -> PartitionLedger {
        PartitionLedger {
            topic: topic.clone(),
            partition,
            topic_id,
            log_start: 0,
            high_watermark: 0,
            acked_end: 0,
            epochs: Epochs::default(),
            leaders: Map::new(),
            replicas: Map::new(),
            entries: Entries::default(),
            compacted: false,
            rotten: Vec::new(),
            losses: 0,
            acked_lost: 0,
            lost: SharedMap::default(),
            cuts: Vec::new(),
            losers: Set::new(),
            died: Map::new(),
            leader_epoch: -1,
            led_epoch: -1,
            partition_epoch: -1,
            isr: Vec::new(),
            elr: Vec::new(),
            leader: None,
            unclean_epoch: -1,
            last: Vec::new(),
            repeats: Repeats::default(),
        }
    }

    pub(super) fn label(&self) -> String {
        format!("{}-{}", self.topic, self.partition)
    }

    pub(super) fn end(&self) -> i64 {
        self.entries.len() as i64
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// True if there are, or were, several replicas.
    pub(super) fn is_replicated(&self) -> bool {
        self.replicas.len() > 1
    }

    /// Up to where some replica has the records.
    pub(super) fn kept(&self) -> i64 {
        self.replicas.values().map(|it| it.epochs.common(&self.epochs)).max().unwrap_or(0)
    }

    /// True if a bit that rotted explains what is wrong with a replica from an offset on.
    pub(super) fn rot_explains(&self, replica: Pid, from: i64) -> bool {
        self.rotten.iter().any(|it| it.from <= from && (it.spreads || it.replica == replica))
    }

    /// True if a bit that rotted explains that the partition loses, by a replica, what it had from an offset on: followers
    /// lose what their leader has not.
    pub(super) fn rot_excuses(&self, by: Pid, from: i64) -> bool {
        self.rot_explains(by, from) || self.leader.is_some_and(|it| self.rot_explains(it, from))
    }

    /// A replica's log was cut to an offset: what had rotted behind it is gone.
    pub(super) fn rot_cut(&mut self, pid: Pid, end: i64) {
        for rot in self.rotten.iter_mut().filter(|it| it.replica == pid && end <= it.from) {
            rot.is_cut = true;
        }
    }

    /// True if a bit that readers cannot see to have rotted explains what they get at an offset.
    pub(super) fn rot_deceives(&self, offset: i64) -> bool {
        self.rotten.iter().any(|it| it.spreads && it.from <= offset)
    }

    /// Acknowledged records that nobody has who could lead; see [`super::Checks::at_risk`].
    pub(super) fn at_risk(&self, runs: &impl Fn(Pid) -> bool) -> u64 {
        let may_lead = || self.isr.iter().chain(&self.elr).copied();
        let one_runs = may_lead().any(runs);
        let Some(safe) = may_lead().filter(|it| !one_runs || runs(*it)).map(|it| self.has(it)).max() else { return 0 };
        let from = usize::try_from(safe).unwrap_or(0);
        self.entries.iter_from(from).filter(|it| it.acked).count() as u64
    }

    /// A record that was appended where it will not stay.
    pub(super) fn strayed(&mut self, offset: Offset, epoch: i32, entry: Entry, excused: bool) {
        self.note_lost(offset.0, Lost { epoch, entry, excused });
    }

    /// A producer is told ok of a record that is lost already. True if it is.
    pub(super) fn acked_late(&mut self, offset: Offset, print: u64, by_all: bool) -> bool {
        let mut is_lost = false;
        let all = self.lost.range_mut((offset.0, 0)..=(offset.0, u32::MAX)).map(|(_, lost)| &mut lost.entry);
        for entry in all.filter(|it| it.print == print) {
            (entry.acked, entry.acked_by_all, is_lost) = (true, by_all, true);
        }
        self.acked_lost += u64::from(is_lost);
        is_lost
    }

    /// A leader appends at an offset, and has records before it that were lost to another's: they are the partition's again.
    /// Tells who sent them.
    pub(super) fn regain(&mut self, leader: Pid, base: i64) -> Vec<(Author, i64)> {
        let mut authors = Vec::new();
        while self.end() < base {
            let offset = self.end();
            let Some(epoch) = self.replicas.get(&leader).and_then(|it| it.epochs.at(offset)) else { return authors };
            let Some(lost) = self.lost_at(offset).find(|it| it.epoch == epoch).copied() else { return authors };
            self.epochs.push(epoch, offset, offset + 1);
            self.push(lost.entry);
            if lost.entry.acked {
                self.acked_lost = self.acked_lost.saturating_sub(1);
                self.acked_end = self.acked_end.max(offset + 1);
            }
            authors.extend(lost.entry.author().map(|author| (author, offset)));
        }
        authors
    }

    /// Who lost records of it is no loser any more once it has again what is committed.
    pub(super) fn forgive(&mut self) {
        let (epochs, replicas, high_watermark) = (&self.epochs, &self.replicas, self.high_watermark);
        let is_behind = |pid: &Pid| replicas.get(pid).is_some_and(|it| it.epochs.common(epochs) < high_watermark);
        self.losers.retain(is_behind);
        // Of what spreads it is not known who has it, unless nobody has anything from there on.
        self.rotten.retain(|it| match it.spreads {
            true => replicas.values().any(|replica| replica.epochs.end() > it.from),
            false => !it.is_cut || is_behind(&it.replica),
        });
        // Who came back after a crash counts for nothing before it is in sync again, whatever it has.
        let isr = &self.isr;
        self.died.retain(|pid, is_back| !*is_back || !isr.contains(pid) || is_behind(pid));
    }

    /// Up to where a replica has what the partition has.
    pub(super) fn has(&self, pid: Pid) -> i64 {
        self.replicas.get(&pid).map_or(0, |it| it.epochs.common(&self.epochs))
    }

    pub(super) fn entry(&self, offset: Offset) -> Option<&Entry> {
        self.entries.at(usize::try_from(offset.0).ok()?)
    }

    pub(super) fn entry_mut(&mut self, offset: Offset) -> Option<&mut Entry> {
        self.entries.at_mut(usize::try_from(offset.0).ok()?)
    }

    /// Notes a client's record as its last here; tells the one before, or `u64::MAX`.
    pub(super) fn last_of(&mut self, author: Author) -> u64 {
        match self.last.iter_mut().find(|(client, _)| *client == author.client) {
            Some((_, last)) => {
                let before = *last;
                *last = before.max(author.number);
                before
            }
            None => {
                self.last.push((author.client, author.number));
                u64::MAX
            }
        }
    }

    /// True for a leader of before an unclean election that has not heard of it: what it commits since is of a log that was given up.
    pub(super) fn was_given_up(&self, pid: Pid) -> bool {
        self.replicas.get(&pid).and_then(|it| it.leads_in).is_some_and(|it| it < self.unclean_epoch)
    }

    /// True if an unclean election explains that somebody lacks what is below an offset.
    pub(super) fn unclean_explains(&self, to: i64) -> bool {
        self.epochs.at(to - 1).unwrap_or(self.epochs.last()) < self.unclean_epoch
    }

    /// Everything from `end` on is gone; `excused` even if it was committed.
    pub(super) fn cut(&mut self, end: Offset, excused: bool) -> Loss {
        let from = usize::try_from(end.0).unwrap_or(0);
        let mut loss = Loss { records: 0, acked: 0, committed: 0, newer: 0, authors: Vec::new() };
        let high_watermark = usize::try_from(self.high_watermark).unwrap_or(0);
        let mut lost = Vec::new();
        for (index, entry) in self.entries.iter_from(from).enumerate() {
            loss.records += 1;
            loss.acked += u64::from(entry.acked);
            let is_committed = entry.acked_by_all || (self.is_replicated() && from + index < high_watermark);
            loss.committed += u64::from(is_committed);
            loss.authors.extend(entry.author());
            let offset = (from + index) as i64;
            let epoch = self.epochs.at(offset).unwrap_or(-1);
            let is_older = epoch < self.unclean_epoch;
            loss.newer += u64::from(is_committed && !is_older);
            lost.push((offset, Lost { epoch, entry: *entry, excused: excused || is_older }));
        }
        for (offset, entry) in lost {
            self.note_lost(offset, entry);
        }
        if loss.records > 0 {
            self.entries.truncate(from);
            self.losses += 1;
            self.acked_lost += loss.acked;
            self.high_watermark = self.high_watermark.min(end.0);
            self.acked_end = self.acked_end.min(end.0);
            self.epochs.cut(end.0);
            // What comes again after a loss is no repeat of what is gone, and in no order with it.
            self.last.clear();
            self.repeats.cut(end.0);
        }
        loss
    }

    /// True if this very record was here and is lost; with `committed`, only if it may be although it was committed.
    pub(super) fn was_lost(&self, offset: Offset, print: u64, committed: bool) -> bool {
        self.lost_at(offset.0).any(|it| it.entry.print == print && (it.excused || !committed))
    }

    /// What was lost of an offset, the first loss first.
    fn lost_at(&self, offset: i64) -> impl Iterator<Item = &Lost> {
        self.lost.range((offset, 0)..=(offset, u32::MAX)).map(|(_, lost)| lost)
    }

    fn note_lost(&mut self, offset: i64, lost: Lost) {
        let before = self.lost_at(offset).count();
        self.lost.insert((offset, u32::try_from(before).unwrap_or(u32::MAX)), lost);
    }
}

/// Who sent which record, by its content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    names: Vec<(Str, Pid)>,
    /// Records that do not say themselves whose they are.
    typed: Map<u64, Vec<Author>>,
}

impl Origins {
    pub(super) fn name(&mut self, pid: Pid, name: &Str) {
        self.names.push((name.clone(), pid));
    }

    /// True if the value itself says that it is this record.
    pub(super) fn names(&self, client: Pid, number: u64, value: Option<&[u8]>) -> bool {
        value.and_then(|value| self.parse(value)) == Some(Author { client, number })
    }

    pub(super) fn remember(&mut self, print: u64, client: Pid, number: u64) {
        self.typed.entry(print).or_default().push(Author { client, number });
    }

    /// Whose record it is. Of several with the same content, the first that is in no log yet.
    pub(super) fn find(&self, print: u64, value: Option<&[u8]>, clients: &[Option<ClientLedger>]) -> Option<Author> {
        let sent = |author: &Author| {
            clients.get(usize::from(author.client.0))?.as_ref()?.sent.at(usize::try_from(author.number).ok()?)
        };
        if let Some(author) = value.and_then(|value| self.parse(value))
            && sent(&author).is_some_and(|it| it.print == print)
        {
            return Some(author);
        }
        let same = self.typed.get(&print)?;
        same.iter().find(|author| sent(author).is_some_and(|it| it.appended == 0)).or(same.last()).copied()
    }

    /// Reads what a workload writes: its producer's name, a dash, a number, perhaps a space and more.
    fn parse(&self, value: &[u8]) -> Option<Author> {
        let (name, client) = self
            .names
            .iter()
            .find(|(name, _)| value.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'-')))?;
        let digits = &value[name.len() + 1..];
        let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
        if end == 0 || end > 18 || digits.get(end).is_some_and(|byte| *byte != b' ') {
            return None;
        }
        let number = digits[..end].iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
        Some(Author { client: *client, number })
    }
}

/// Calls back for key and value of each record of a batch. Bytes that are no records are left to other checks.
pub(super) fn each_record(
    head: &BatchHead,
    payload: &[u8],
    mut each: impl FnMut(Offset, Option<&[u8]>, Option<&[u8]>),
) {
    let unpacked;
    let records = match head.attributes.compression() {
        Compression::None => payload,
        compression => match PureCompressors.decompress(compression, payload, UNPACKED) {
            Ok(bytes) => {
                unpacked = bytes;
                &unpacked
            }
            Err(_) => return,
        },
    };
    for view in RecordViews::new(head, records) {
        let Ok(view) = view else { return };
        each(view.offset, view.key, view.value);
    }
}
