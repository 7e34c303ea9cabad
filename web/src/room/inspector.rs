//! What is selected, level by level: why it is there, how it stands, what it says field by field, and its bytes.

use client::partition_of_key;

use super::scene::{Scene, Selection};
use super::{fields, grouped, groups, left, log, stage, stamp, story};
use crate::draw::{Shape, classed, glyph, shape};
use crate::view::{Broker, CLOSED, Client, Group, Message, Partition, Record, Replica, Role, Timer};

/// Messages on their way that are listed at once.
const LISTED: usize = 12;

/// A line of a table: what, how much.
type Fact = (&'static str, String);

/// How close what is selected is looked at. It stays when something else is selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Level {
    /// What led to it.
    Story,
    /// What it is and how it stands.
    #[default]
    State,
    /// What it says, field by field.
    Protocol,
    /// The bytes, and which field each is of.
    Bytes,
}

impl Level {
    /// All of them, from far to near.
    pub(crate) const ALL: [Level; 4] = [Level::Story, Level::State, Level::Protocol, Level::Bytes];

    /// As its button says it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Level::Story => "story",
            Level::State => "state",
            Level::Protocol => "protocol",
            Level::Bytes => "bytes",
        }
    }
}

/// The inspector.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let (title, about, facts, deeds) = match &scene.selection {
        Selection::Nothing => return now(scene),
        Selection::Record(copy, offset) => {
            let Some((partition, replica)) = scene.replica(copy) else {
                return gone(format!("{copy} does not exist at this moment."));
            };
            let (name, broker) = (&partition.name, &replica.broker);
            let Some(record) = &scene.record else {
                let why = if *offset >= replica.log_end {
                    format!("Offset {offset} of {name} is not written on {broker} at this moment.")
                } else if *offset < replica.log_start {
                    format!("Offset {offset} of {name} is gone: the log begins at {}.", replica.log_start)
                } else {
                    format!("Offset {offset} of {name} cannot be read on {broker} at this moment: it does not run.")
                };
                return gone(why);
            };
            let facts = record_facts(record, partition, scene.partitions_of(&partition.topic).len());
            (format!("Record {offset} "), format!("{name} on {broker}"), facts, Vec::new())
        }
        Selection::Entry(offset) => {
            let found = scene.quorum.members.iter().flat_map(|it| &it.records).find(|it| it.offset == *offset);
            let mut facts = vec![("log", "__cluster_metadata-0".to_owned())];
            if let Some(it) = found {
                facts.extend([("type", it.name.to_owned()), ("quorum epoch", it.epoch.to_string())]);
                facts.push(("says", it.about.clone()));
            }
            let has = scene.quorum.members.iter().filter(|it| it.end > *offset).map(|it| it.name.to_string());
            facts.push(("is in the log of", has.collect::<Vec<_>>().join(" ")));
            (format!("Metadata record {offset} "), "of the quorum’s log".to_owned(), facts, Vec::new())
        }
        Selection::Message(message) => {
            let about = format!("{} → {}", message.from, message.to);
            (format!("{} ", title(message)), about, message_facts(scene, message), message_deeds(scene, message))
        }
        Selection::Process(name) => {
            let (about, facts) = match (scene.client(name), scene.view.brokers.iter().find(|it| it.name == *name)) {
                (Some(client), _) => {
                    let about = match client.role {
                        Role::Producer => "producer",
                        Role::Consumer => "consumer",
                        Role::Wire => "wire client",
                    };
                    (about, client_facts(scene, client))
                }
                (None, Some(broker)) => {
                    let about = match (broker.is_broker, broker.is_controller) {
                        (true, true) => "broker and controller",
                        (true, false) => "broker",
                        (false, _) => "controller",
                    };
                    (about, broker_facts(scene, broker))
                }
                (None, None) => return gone(format!("{name} does not exist at this moment.")),
            };
            (format!("{name} "), about.to_owned(), facts, timers(scene, name))
        }
        Selection::Partition(name) => match scene.partition(name) {
            Some(it) => (format!("{name} "), "partition".to_owned(), partition_facts(it), Vec::new()),
            None => return gone(format!("{name} does not exist at this moment.")),
        },
        Selection::Group(name) => match scene.view.groups.iter().find(|it| it.name == *name) {
            Some(it) => (format!("Group {name} "), groups::about(it), group_facts(it), Vec::new()),
            None => return gone(format!("Group {name} does not exist at this moment.")),
        },
        Selection::Timer(process, what) => {
            let Some(timer) = scene.view.timers.iter().find(|it| it.process == *process && it.what == *what) else {
                return gone(format!("{what} of {process} does not run at this moment."));
            };
            let rest = left(timer.at_us.saturating_sub(scene.view.time_us));
            let mut facts = vec![("runs out", format!("{} s, in {rest}", stamp(timer.at_us)))];
            facts.extend(timer.since_us.map(|it| ("runs since", format!("{} s", stamp(it)))));
            (format!("{what} "), format!("timer of {process}"), facts, Vec::new())
        }
        Selection::Check(name) => {
            let Some(check) = scene.view.checks.iter().find(|it| it.name == *name) else {
                return gone(format!("There is no check {name}."));
            };
            let stands = scene.event_found().map_or("holds".to_owned(), |it| format!("broken at step {}", grouped(it)));
            let mut facts = vec![("promise", check.meaning.to_owned()), ("stands", stands)];
            facts.extend(check.broken_by.iter().map(|it| ("how", it.clone())));
            (format!("{name} "), "check".to_owned(), facts, Vec::new())
        }
        Selection::Finding(number) => {
            let Some(it) = scene.view.findings.get(*number) else {
                return gone("It was not found yet at this moment.".to_owned());
            };
            let facts =
                vec![("what", it.what.clone()), ("verdict", it.verdict_words.to_owned()), ("step", grouped(it.event))];
            (format!("{} ", it.check), "finding".to_owned(), facts, Vec::new())
        }
    };
    let close = classed("button", "close").set("data-do", "nothing:").set("aria-label", "Select nothing").say("×");
    let mut shapes = vec![shape("h2").say(title).with([shape("small").say(about), close])];
    // A process has no bytes of its own.
    let level = match scene.level {
        Level::Protocol | Level::Bytes if scene.bytes.is_empty() => Level::State,
        it => it,
    };
    let tab = |it: Level| {
        classed("button", if it == level { "tab on" } else { "tab" })
            .set("data-do", format!("level:{}", it.word()))
            .set("aria-pressed", if it == level { "true" } else { "false" })
            .when(scene.bytes.is_empty() && matches!(it, Level::Protocol | Level::Bytes), "disabled", "")
            .say(it.word())
    };
    shapes.push(classed("p", "levels").set("role", "group").set("aria-label", "How close").with(Level::ALL.map(tab)));
    match level {
        Level::Story => shapes.push(led_here(scene)),
        Level::State => {
            shapes.push(table(facts));
            if !deeds.is_empty() {
                shapes.push(classed("p", "deeds").with_all(deeds));
            }
        }
        Level::Protocol => shapes.extend(fields::table(scene, false)),
        Level::Bytes => shapes.extend(fields::dump(scene)),
    }
    shapes
}

/// What led to it, the newest first.
fn led_here(scene: &Scene) -> Shape {
    if scene.story.is_empty() {
        let words = match &scene.selection {
            Selection::Check(_) => "It holds: nothing has broken it.",
            _ => "What led to it is further back than was looked, or no event tells it.",
        };
        return classed("p", "plain").say(words);
    }
    let links = scene.story.iter().map(story::link);
    classed("ol", "chain").set("id", "led-here").set("aria-label", "What led to it").with_all(links.collect())
}

/// What can be done to a message on its way.
fn message_deeds(scene: &Scene, message: &Message) -> Vec<Shape> {
    let there = scene.view.messages.iter().any(|it| it.id == message.id && it.sent_us == message.sent_us);
    let mut deeds = Vec::new();
    if there && !message.stalled && message.what != CLOSED && message.from != message.to {
        let line = format!("deliver message {}", message.id);
        deeds.push(deed("deliver-this", line, "deed", "Deliver it next"));
    }
    if there && message.what != CLOSED {
        let line = format!("drop message {}", message.id);
        deeds.push(deed("drop-this", line, "deed harm", "Drop it (d): its connection breaks"));
    }
    if there && !message.stalled {
        let line = format!("cut {} -> {}", message.from, message.to);
        deeds.push(deed("hold", line, "deed harm", "Hold it up: cut its way"));
    }
    deeds
}

/// A button that does a line.
fn deed(id: &'static str, line: String, class: &'static str, words: &'static str) -> Shape {
    let does = format!("act:{line}");
    classed("button", class).set("id", id).set("title", line).set("data-do", does).say(words)
}

fn title(message: &Message) -> String {
    if message.is_answer { format!("Answer to {}", message.what) } else { message.what.to_owned() }
}

/// With nothing selected: the drawing as a list, each of it to be selected.
fn now(scene: &Scene) -> Vec<Shape> {
    let ask = "Select a record, a message, a client or the broker: what it is and why it is there.";
    let mut shapes = vec![shape("h2").say("Inspector"), classed("p", "plain").say(ask)];
    let all = &scene.view.messages;
    if !scene.is_still() || all.is_empty() {
        return shapes;
    }
    // What filters can be seen, and taken away.
    let has_field = all.len() > LISTED || !scene.sought.is_empty();
    if has_field {
        shapes.push(
            classed("input", "sought")
                .set("id", "sought")
                .set("aria-label", "Find messages: who, or which API")
                .set("placeholder", "who, or which API")
                .set(".value", scene.sought.clone()),
        );
    }
    let words = |it: &Message| format!("{}, {} → {}", title(it), it.from, it.to);
    let wanted = scene.sought.to_ascii_lowercase();
    let is_wanted = |it: &&Message| wanted.split_whitespace().all(|word| words(it).to_ascii_lowercase().contains(word));
    let found: Vec<&Message> = all.iter().filter(is_wanted).collect();
    let page = scene.page.min(found.len().saturating_sub(1) / LISTED);
    let lines = found.iter().skip(page * LISTED).take(LISTED).map(|it| {
        let when =
            if it.stalled { "held up".to_owned() } else { left(it.arrives_us.saturating_sub(scene.view.time_us)) };
        shape("li").named(&it.id).with([
            classed("button", "line").set("data-do", format!("message:{}", it.id)).say(words(it)),
            shape("em").say(when),
        ])
    });
    shapes.push(classed("ul", "now").set("aria-label", "On their way").with_all(lines.collect()));
    if has_field {
        let turn = |words: &'static str, label: &'static str, to: Option<usize>| {
            classed("button", "deed")
                .set("aria-label", label)
                .set("data-do", format!("page:{}", to.unwrap_or_default()))
                .when(to.is_none(), "disabled", "")
                .say(words)
        };
        let (first, last) = (page * LISTED, found.len().min((page + 1) * LISTED));
        let about = match found.len() {
            0 => "nothing on its way has these words".to_owned(),
            many => format!("{}–{last} of {many}", first + 1),
        };
        shapes.push(classed("p", "deeds").with([
            turn("‹", "Those before", page.checked_sub(1)),
            turn("›", "Those after", (last < found.len()).then_some(page + 1)),
            classed("small", "of").set("role", "status").say(about),
        ]));
    }
    shapes
}

fn gone(why: String) -> Vec<Shape> {
    vec![shape("h2").say("Inspector"), classed("p", "plain").say(why)]
}

fn table(facts: Vec<Fact>) -> Shape {
    let rows = facts
        .into_iter()
        .map(|(name, value)| shape("tr").with([shape("th").set("scope", "row").say(name), shape("td").say(value)]));
    classed("table", "facts").with([shape("tbody").with_all(rows.collect())])
}

fn record_facts(record: &Record, partition: &Partition, partitions: usize) -> Vec<Fact> {
    let mut facts = vec![
        ("key", record.key.clone().unwrap_or_else(|| "none".to_owned())),
        ("value", record.value.clone().unwrap_or_else(|| "none: a tombstone".to_owned())),
        ("leader epoch", record.leader_epoch.to_string()),
        ("timestamp", format!("{} ms", record.timestamp_ms)),
        ("batch", format!("from offset {}", record.base_offset)),
    ];
    facts.push(match (record.producer_id, record.sequence) {
        (Some(id), Some(sequence)) => ("producer", format!("id {id}, sequence {sequence}")),
        _ => ("producer", "not idempotent: no id, no sequence".to_owned()),
    });
    facts.push(match &record.key {
        Some(_) if stage::is_internal(partition) => {
            ("why here", format!("the group’s name, hashed as Java does, mod {partitions} = {}", partition.partition))
        }
        Some(key) => {
            let (partition, hash) = partition_of_key(key.as_bytes(), partitions as i32);
            ("why here", format!("toPositive(murmur2(key)) = {hash}, mod {partitions} = {partition}"))
        }
        None => ("why here", "no key: the partition its producer stuck to (KIP-794)".to_owned()),
    });
    facts
}

fn message_facts(scene: &Scene, message: &Message) -> Vec<Fact> {
    let now = scene.view.time_us;
    let there = scene.view.messages.iter().any(|it| it.id == message.id && it.sent_us == message.sent_us);
    let arrives = match (there, message.stalled) {
        (false, _) if now < message.sent_us => "not sent yet at this moment".to_owned(),
        (false, _) => format!("{} s, no longer on its way", stamp(message.arrives_us)),
        (true, true) => "held up: the way is cut, or the other end takes nothing".to_owned(),
        (true, false) => {
            format!("{} s, in {}", stamp(message.arrives_us), left(message.arrives_us.saturating_sub(now)))
        }
    };
    vec![("sent", format!("{} s", stamp(message.sent_us))), ("arrives", arrives)]
}

fn client_facts(scene: &Scene, client: &Client) -> Vec<Fact> {
    let mut facts = vec![
        ("state", client.state.word().to_owned()),
        ("connection", if client.connected { "open" } else { "none" }.to_owned()),
    ];
    facts.extend(scene.settings.iter().cloned());
    facts.extend(client.load.iter().map(|it| ("workload", it.clone())));
    if client.role == Role::Producer {
        facts.push(("ok", grouped(client.ok)));
        facts.push(("failed", grouped(client.failed)));
        facts.push(("unknown", grouped(client.unknown)));
        facts.push(("waiting", grouped(client.pending)));
    } else {
        facts.push(("records read", grouped(client.consumed)));
        facts.extend(client.positions.iter().map(|it| {
            let number = |it: Option<i64>| it.map_or("–".to_owned(), |it| it.to_string());
            (
                "position",
                format!("{} at {}, {} behind the high watermark", it.partition, number(it.offset), number(it.lag)),
            )
        }));
    }
    facts
}

fn broker_facts(scene: &Scene, broker: &Broker) -> Vec<Fact> {
    let mut facts = vec![
        ("state", stage::condition(broker)),
        ("node.id", broker.id.to_string()),
        ("broker epoch", broker.broker_epoch.map_or("– not registered".to_owned(), |it| it.to_string())),
        ("connections", broker.connections.to_string()),
    ];
    if let Some(epoch) = broker.quorum_epoch {
        facts.insert(1, ("controller", format!("active, leads the quorum in epoch {epoch}")));
    }
    for partition in &scene.view.partitions {
        if let Some(it) = partition.replicas.iter().find(|it| it.broker == broker.name) {
            let words = format!("{}, {}, log end {}", partition.name, it.standing.word(), it.log_end);
            facts.push(("copy", words));
        }
    }
    facts.extend(broker.waits.iter().map(|it| {
        let until = it
            .deadline_us
            .map_or(String::new(), |at| format!(", {} left", left(at.saturating_sub(scene.view.time_us))));
        ("waits", format!("{} of {}, since {}{until}", it.what, it.client, stamp(it.since_us)))
    }));
    facts
}

/// A process's timers, each to be looked at.
fn timers(scene: &Scene, process: &str) -> Vec<Shape> {
    let timers = scene.view.timers.iter().filter(|it| it.process == process);
    let timer = |it: &Timer| {
        let words = format!("{}, in {}", it.what, left(it.at_us.saturating_sub(scene.view.time_us)));
        let does = format!("timer:{process}/{}", it.what);
        classed("button", "deed").named(&it.what).set("data-do", does).with([glyph("#g-wait")]).say(words)
    };
    timers.map(timer).collect()
}

fn partition_facts(it: &Partition) -> Vec<Fact> {
    let mut facts = vec![
        ("leader", it.leader.clone().unwrap_or_else(|| "– nobody".to_owned())),
        ("leader epoch", it.leader_epoch.to_string()),
        ("ISR", log::listed(&it.isr)),
        ("ELR", log::listed(&it.elr)),
        ("min.insync.replicas", it.min_isr.to_string()),
        ("log start", it.log_start.to_string()),
        ("high watermark", it.high_watermark.to_string()),
        ("log end", it.log_end.to_string()),
    ];
    let copy = |it: &Replica| ("copy", format!("{}, {}, log end {}", it.broker, it.standing.word(), it.log_end));
    facts.extend(it.replicas.iter().map(copy));
    facts
}

fn group_facts(it: &Group) -> Vec<Fact> {
    let members: Vec<String> = it.members.iter().map(|it| it.client.clone()).collect();
    let mut facts = vec![("members", log::listed(&members)), ("stands", it.stands.clone())];
    facts.extend(it.holds.iter().map(|it| ("waits", it.clone())));
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of more messages than can be drawn each can be come to: page by page, or by whom and what it is.
    #[test]
    fn every_message_on_its_way_is_listed() {
        let mut scene = Scene::new(1);
        let message = |number: usize| Message {
            id: number.to_string(),
            from: format!("p{}", number % 9),
            to: "b1".to_owned(),
            what: if number == 200 { "Metadata" } else { "Produce" },
            ..Message::default()
        };
        scene.view.messages = (0..217).map(message).collect();
        let listed = |scene: &Scene| -> Vec<String> {
            let shapes = draw(scene);
            let list = shapes.iter().find(|it| it.attribute("class") == "now").unwrap();
            list.children.iter().map(|it| it.children[0].attribute("data-do").to_owned()).collect()
        };
        let mut seen = Vec::new();
        for page in 0..217_usize.div_ceil(LISTED) {
            scene.page = page;
            seen.extend(listed(&scene));
        }
        assert_eq!(seen, (0..217).map(|it| format!("message:{it}")).collect::<Vec<_>>());
        (scene.page, scene.sought) = (900, "p2 meta".to_owned());
        assert_eq!(listed(&scene), ["message:200"], "a page that is gone is the last there is");
        let words = |scene: &Scene| draw(scene).iter().map(Shape::words).collect::<String>();
        let has_field = |scene: &Scene| draw(scene).iter().any(|it| it.attribute("id") == "sought");
        scene.sought = "nobody".to_owned();
        assert!(listed(&scene).is_empty() && words(&scene).contains("nothing on its way has these words"));
        // Of so few messages that a page holds them it filters still, so it can be seen still.
        scene.view.messages.truncate(3);
        assert!(listed(&scene).is_empty() && has_field(&scene));
        scene.sought.clear();
        assert!(listed(&scene).len() == 3 && !has_field(&scene));
    }

    #[test]
    fn what_is_not_there_is_said_and_not_shown() {
        let mut scene = Scene::new(1);
        scene.selection = Selection::Record("b1/orders-0".to_owned(), 7);
        let words: String = draw(&scene).iter().map(Shape::words).collect();
        assert_eq!(words, "Inspectorb1/orders-0 does not exist at this moment.");
    }
}
