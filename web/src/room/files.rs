//! The files of a partition on a broker's disk: segments, what lies beside them, and what a power cut would take.

use sim::files::{File, Folder, Segment};

use super::scene::Scene;
use super::stage;
use crate::draw::{Shape, classed, shape, tenths, text};

/// What there is to watch: words, and the line that is done.
const DEEDS: [(&str, &str); 4] = [
    ("Roll every 2 s", "alter TOPIC segment.ms=2000"),
    ("Keep 10 s", "alter TOPIC retention.ms=10000"),
    ("Compact", "alter TOPIC cleanup.policy=compact min.cleanable.dirty.ratio=0.01 segment.ms=2000"),
    ("5 minutes pass", "run 5m"),
];

/// What is looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sight {
    /// The partition; the first there is, unless somebody chose.
    pub(crate) partition: String,
    /// The broker; the partition's leader, unless somebody chose.
    pub(crate) broker: String,
    pub(crate) is_chosen: bool,
    pub(crate) folder: Folder,
}

impl Sight {
    /// Looks at what there is, where nothing that is there was chosen.
    pub(crate) fn settle(&mut self, scene: &crate::view::View) {
        let first = || scene.partitions.iter().find(|it| !stage::is_internal(it)).or(scene.partitions.first());
        let known = scene.partitions.iter().find(|it| it.name == self.partition).or_else(first);
        let Some(partition) = known else { return *self = Sight::default() };
        self.partition.clone_from(&partition.name);
        let is_there = partition.replicas.iter().any(|it| it.broker == self.broker);
        self.is_chosen &= is_there;
        let first = partition.replicas.first().map(|it| it.broker.clone());
        match (&partition.leader, is_there) {
            (Some(leader), _) if !self.is_chosen => self.broker.clone_from(leader),
            (_, false) => self.broker = first.unwrap_or_default(),
            _ => {}
        }
    }
}

/// The view.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let sight = &scene.files;
    let mut chips = Vec::new();
    let shown = scene.view.partitions.iter().filter(|it| !stage::is_internal(it) || it.name == sight.partition);
    for partition in shown.filter(|_| scene.view.partitions.len() > 1) {
        chips.push(chip(&partition.name, partition.name.clone(), "", partition.name == sight.partition));
    }
    let of = scene.view.partitions.iter().find(|it| it.name == sight.partition);
    for replica in of.iter().flat_map(|it| &it.replicas) {
        chips.push(chip(&replica.broker, sight.partition.clone(), &replica.broker, replica.broker == sight.broker));
    }
    let about = match (&sight.folder.name, sight.folder.segments.len()) {
        (Some(name), 1) => format!("{name} on {} · 1 segment", sight.broker),
        (Some(name), count) => format!("{name} on {} · {count} segments", sight.broker),
        (None, _) if of.is_none() => "no topic yet".to_owned(),
        (None, _) => format!("{} has no folder of {}", sight.broker, sight.partition),
    };
    let head = classed("div", "head")
        .with([shape("h2").say("Files ").with([shape("small").say(about)]), classed("span", "chips").with_all(chips)]);
    let mut shapes = vec![head];
    shapes.extend(strip(&sight.folder.segments));
    shapes.extend(table(&sight.folder));
    if let Some(partition) = of {
        let deeds = DEEDS.map(|(words, line)| {
            let line = line.replace("TOPIC", &partition.topic);
            classed("button", "deed").set("title", line.clone()).set("data-do", format!("act:{line}")).say(words)
        });
        let cut = classed("button", "deed harm")
            .set("title", format!("power-cut {}", sight.broker))
            .set("data-do", format!("act:power-cut {}", sight.broker))
            .say(format!("Cut {}’s power", sight.broker));
        shapes.push(classed("p", "deeds").with(deeds).with([cut]));
    }
    vec![classed("section", "files").set("aria-label", "Files").with_all(shapes)]
}

fn chip(words: &str, partition: String, broker: &str, on: bool) -> Shape {
    classed("button", if on { "pick on" } else { "pick" })
        .named(words)
        .set("aria-pressed", if on { "true" } else { "false" })
        .set("data-do", format!("files:{partition}:{broker}"))
        .say(words.to_owned())
}

/// 20 480 → "20 kB".
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} kB", tenths(bytes as f64 / 1_000.0)),
        _ => format!("{} MB", tenths(bytes as f64 / 1_000_000.0)),
    }
}

/// The segments in a row, each as long as it is; hatched what is in the page cache alone.
fn strip(segments: &[Segment]) -> Option<Shape> {
    if segments.is_empty() {
        return None;
    }
    let all: u64 = segments.iter().map(|it| it.bytes.max(1)).sum();
    let blocks = segments.iter().map(|it| {
        let share = |part: u64, of: u64| if of == 0 { 0.0 } else { part as f64 * 100.0 / of as f64 };
        let label = match it.offsets {
            Some((first, last)) if first == last => first.to_string(),
            Some((first, last)) => format!("{first}–{last}"),
            None => "empty".to_owned(),
        };
        let safe = share(it.synced_bytes, it.bytes);
        classed("span", if it.is_active { "seg active" } else { "seg" })
            .keyed(it.base.cast_unsigned())
            .set(
                "style",
                format!("flex:{} 1 70px;--safe:{}%", tenths(share(it.bytes.max(1), all).max(1.0)), tenths(safe)),
            )
            .with([shape("b").say(label), shape("small").say(if it.is_active { "active" } else { "sealed" })])
    });
    Some(classed("div", "strip").set("aria-hidden", "true").with_all(blocks.collect()))
}

fn table(folder: &Folder) -> Option<Shape> {
    if folder.segments.is_empty() && folder.files.is_empty() {
        return None;
    }
    let mut rows: Vec<Shape> = folder.segments.iter().map(segment_row).collect();
    rows.extend(folder.files.iter().map(file_row));
    let titles = ["file", "size", "a power cut would leave", "says"].map(|it| shape("th").set("scope", "col").say(it));
    Some(
        classed("div", "listing")
            .set("tabindex", "0")
            .set("role", "group")
            .set("aria-label", "Files of the partition")
            .with([classed("table", "told")
                .set("id", "files")
                .with([shape("thead").with([shape("tr").with(titles)]), shape("tbody").with_all(rows)])]),
    )
}

fn row(name: String, bytes: u64, safe: Shape, says: String) -> Shape {
    shape("tr").named(&name).with([
        shape("th").set("scope", "row").say(name.clone()),
        shape("td").say(size(bytes)),
        shape("td").with([safe]),
        shape("td").say(says),
    ])
}

/// How much of a file is on the platter.
fn safe(bytes: u64, synced: u64, part: impl FnOnce() -> String) -> Shape {
    if synced >= bytes {
        classed("span", "ok").say("all of it")
    } else if synced == 0 {
        classed("span", "harm").say("nothing: it is in the page cache alone")
    } else {
        classed("span", "harm").with([text(part())])
    }
}

fn segment_row(it: &Segment) -> Shape {
    let name = format!("{:020}.log", it.base);
    let mut says = match it.offsets {
        Some((first, last)) if first == last => format!("offset {first}, 1 record"),
        Some((first, last)) => format!("offsets {first} to {last}, {} records", it.records),
        None => "no records yet".to_owned(),
    };
    if let Some((first, last)) = it.offsets
        && it.records.cast_signed() < last - first + 1
    {
        says.push_str(", gaps where compaction went");
    }
    if it.is_active {
        says.push_str("; active: appends go here");
    }
    row(name, it.bytes, safe(it.bytes, it.synced_bytes, || format!("offsets below {}", it.safe_to)), says)
}

fn file_row(it: &File) -> Shape {
    row(it.name.clone(), it.bytes, safe(it.bytes, it.synced_bytes, || size(it.synced_bytes)), it.says.clone())
}
