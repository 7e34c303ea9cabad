//! What is selected, in full, what producers were told, and what is promised.

use client::partition_of_key;

use super::scene::{Scene, Selection};
use super::{grouped, left, log, stage, stamp, verdict};
use crate::bytes::Row;
use crate::draw::{Shape, classed, glyph, shape};
use crate::view::{Broker, CLOSED, Client, Message, Record, Role};

/// Partitions in the table at most.
const PARTITIONS: usize = 12;

/// A line of a table: what, how much.
type Fact = (&'static str, String);

/// The right side.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let inspector = classed("section", "inspector").set("aria-label", "Inspector").with_all(inspect(scene));
    let note = "Not modelled: TLS, CPU load, disk seeks. Not in this room yet: transactions.";
    vec![
        inspector,
        partitions(scene),
        outcomes(scene),
        verdict::draw(scene),
        checks(scene),
        classed("p", "note").say(note),
    ]
}

/// Every partition: who leads it in which epoch, who is in sync, how far readers see. And who leads the metadata quorum.
fn partitions(scene: &Scene) -> Shape {
    let leads = scene.view.brokers.iter().filter_map(|it| Some((it.quorum_epoch?, &it.name))).max();
    let quorum = match leads {
        Some((epoch, name)) => format!("metadata quorum led by {name} in epoch {epoch}"),
        None => "nobody leads the metadata quorum".to_owned(),
    };
    let shown = scene.view.partitions.iter().filter(|it| !stage::is_internal(it)).take(PARTITIONS);
    let rows = shown.map(|it| {
        let cell = |words: String| shape("td").say(words);
        let isr = if it.isr.len() < it.min_isr { "harm" } else { "" };
        shape("tr").named(&it.name).when(it.name == scene.chosen, "class", "on").with([
            shape("th")
                .set("scope", "row")
                .with([classed("button", "line").set("data-do", format!("choose:{}", it.name)).say(it.name.clone())]),
            cell(it.leader.clone().unwrap_or_else(|| "–".to_owned())),
            cell(it.leader_epoch.to_string()),
            classed("td", isr).say(log::listed(&it.isr)),
            cell(log::listed(&it.elr)),
            cell(grouped(it.high_watermark.max(0).cast_unsigned())),
        ])
    });
    let heads = ["partition", "leader", "epoch", "ISR", "ELR", "HW"].map(|it| shape("th").set("scope", "col").say(it));
    let table = classed("table", "parts")
        .set("id", "parts")
        .with([shape("thead").with([shape("tr").with(heads)]), shape("tbody").with_all(rows.collect())]);
    let head = shape("h2").say("Partitions ").with([shape("small").set("id", "leads").say(quorum)]);
    shape("section").set("aria-label", "Partitions").with([head, table])
}

/// What the producers were told about their records, in the three words there are.
fn outcomes(scene: &Scene) -> Shape {
    let sum = |of: fn(&Client) -> u64| grouped(scene.view.clients.iter().map(of).sum());
    let lines: [(&'static str, String, &'static str); 5] = [
        ("ok", sum(|it| it.ok), "ok"),
        ("harm", sum(|it| it.failed), "failed"),
        ("", sum(|it| it.unknown), "unknown"),
        ("", sum(|it| it.pending), "pending"),
        ("", sum(|it| it.consumed), "given to consumers"),
    ];
    let mut list = shape("dl");
    for (class, number, word) in lines {
        let number = shape("dt").when(!class.is_empty(), "class", class).say(number);
        let number = if word == "ok" { number.set("id", "acked") } else { number };
        list = list.with([number, shape("dd").say(word)]);
    }
    let head = shape("h2").say("Outcomes ").with([shape("small").say("what producers were told")]);
    classed("section", "ledger").set("aria-label", "Outcomes").with([head, list])
}

fn checks(scene: &Scene) -> Shape {
    let checks = &scene.view.checks;
    let broken = checks.iter().filter(|it| !it.holds).count();
    let count = match broken {
        0 => format!("{} hold", checks.len()),
        _ => format!("{} hold, {broken} broken", checks.len() - broken),
    };
    let lines = checks.iter().map(|check| {
        let (mark, class) = if check.holds { ("#g-ok", "ok") } else { ("#g-bad", "harm") };
        let word = check.broken_at.map_or("holds".to_owned(), |it| format!("broken at step {}", grouped(it)));
        let line = shape("li").named(check.name).when(!check.holds, "class", "bad").with([
            classed("span", class).with([glyph(mark)]),
            shape("span").say(check.meaning),
            shape("em").say(word),
        ]);
        line.with_all(check.broken_by.iter().map(|it| shape("p").say(it.clone())).collect())
    });
    shape("section").set("aria-label", "Checks").with([
        shape("h2").say("Checks ").with([shape("small").say(count)]),
        classed("ul", "checks").set("id", "checks").with_all(lines.collect()),
    ])
}

fn inspect(scene: &Scene) -> Vec<Shape> {
    match &scene.selection {
        Selection::Nothing => now(scene),
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
            let facts = record_facts(record, scene.partitions_of(&partition.topic).len());
            let mut shapes = table(format!("Record {offset} "), format!("{name} on {broker}"), facts);
            shapes.extend(bytes("Its batch", &scene.bytes));
            shapes
        }
        Selection::Message(message) => {
            let about = format!("{} → {}", message.from, message.to);
            let mut shapes = table(format!("{} ", title(message)), about, message_facts(scene, message));
            let there = scene.view.messages.iter().any(|it| it.id == message.id && it.sent_us == message.sent_us);
            let mut deeds = Vec::new();
            if there && message.what != CLOSED {
                let line = format!("drop message {}", message.id);
                deeds.push(deed("drop-this", line, "Drop it (d): its connection breaks"));
            }
            if there && !message.stalled {
                let line = format!("cut {} -> {}", message.from, message.to);
                deeds.push(deed("hold", line, "Hold it up: cut its way"));
            }
            shapes.push(classed("p", "deeds").with_all(deeds));
            shapes.extend(bytes("Its frame", &scene.bytes));
            shapes
        }
        Selection::Process(name) => {
            if let Some(client) = scene.client(name) {
                let about = match client.role {
                    Role::Producer => "producer",
                    Role::Consumer => "consumer",
                    Role::Wire => "wire client",
                };
                return table(format!("{name} "), about.to_owned(), client_facts(scene, client));
            }
            match scene.view.brokers.iter().find(|it| it.name == *name) {
                Some(broker) => {
                    let about = match (broker.is_broker, broker.is_controller) {
                        (true, true) => "broker and controller",
                        (true, false) => "broker",
                        (false, _) => "controller",
                    };
                    table(format!("{name} "), about.to_owned(), broker_facts(scene, broker))
                }
                None => gone(format!("{name} does not exist at this moment.")),
            }
        }
    }
}

/// A button that does a line.
fn deed(id: &'static str, line: String, words: &'static str) -> Shape {
    let does = format!("act:{line}");
    classed("button", "deed harm").set("id", id).set("title", line).set("data-do", does).say(words)
}

fn title(message: &Message) -> String {
    if message.is_answer { format!("Answer to {}", message.what) } else { message.what.to_owned() }
}

/// With nothing selected: the drawing as a list, each of it to be selected.
fn now(scene: &Scene) -> Vec<Shape> {
    let ask = "Select a record, a message, a client or the broker: what it is and why it is there.";
    let mut shapes = vec![shape("h2").say("Inspector"), classed("p", "plain").say(ask)];
    if scene.is_still() && !scene.view.messages.is_empty() {
        let lines = scene.view.messages.iter().take(12).map(|it| {
            let when =
                if it.stalled { "held up".to_owned() } else { left(it.arrives_us.saturating_sub(scene.view.time_us)) };
            shape("li").named(&it.id).with([
                classed("button", "line").set("data-do", format!("message:{}", it.id)).say(format!(
                    "{}, {} → {}",
                    title(it),
                    it.from,
                    it.to
                )),
                shape("em").say(when),
            ])
        });
        shapes.push(classed("ul", "now").set("aria-label", "On their way").with_all(lines.collect()));
    }
    shapes
}

fn gone(why: String) -> Vec<Shape> {
    vec![shape("h2").say("Inspector"), classed("p", "plain").say(why)]
}

fn table(title: String, about: String, facts: Vec<Fact>) -> Vec<Shape> {
    let rows = facts
        .into_iter()
        .map(|(name, value)| shape("tr").with([shape("th").set("scope", "row").say(name), shape("td").say(value)]));
    let close = classed("button", "close").set("data-do", "nothing:").set("aria-label", "Select nothing").say("×");
    vec![
        shape("h2").say(title).with([shape("small").say(about), close]),
        classed("table", "facts").with([shape("tbody").with_all(rows.collect())]),
    ]
}

/// Bytes by field: its name, what it says, where it is, and the first of its bytes.
fn bytes(title: &'static str, rows: &[Row]) -> Option<Shape> {
    let last = rows.iter().map(|it| it.to).max()?;
    let lines = rows.iter().map(|it| {
        let place = if it.hex.is_empty() { String::new() } else { it.from.to_string() };
        let hint = format!("{} {}, bytes {} to {}", it.name, it.kind, it.from, it.to.saturating_sub(1));
        let class = if it.hex.is_empty() && it.to > it.from { "holds" } else { "leaf" };
        classed("tr", class).set("title", hint).with([
            shape("th").set("scope", "row").set("style", format!("--depth:{}", it.depth.min(6))).say(it.name.clone()),
            shape("td").say(it.value.clone()),
            classed("td", "place").say(place),
            classed("td", "hex").say(it.hex.clone()),
        ])
    });
    let head = shape("h2").say(title).say(" ").with([shape("small").say(format!("{last} bytes, by field"))]);
    let table = classed("table", "bytes").set("id", "bytes").with([shape("tbody").with_all(lines.collect())]);
    Some(
        classed("div", "scroller")
            .set("tabindex", "0")
            .set("role", "group")
            .set("aria-label", title)
            .with([head, table]),
    )
}

fn record_facts(record: &Record, partitions: usize) -> Vec<Fact> {
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
            ("position", format!("{} at {}, lag {}", it.partition, number(it.offset), number(it.lag)))
        }));
    }
    facts.extend(timer_facts(scene, &client.name));
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
    facts.extend(timer_facts(scene, &broker.name));
    facts
}

fn timer_facts<'a>(scene: &'a Scene, process: &'a str) -> impl Iterator<Item = Fact> + 'a {
    let timers = scene.view.timers.iter().filter(move |it| it.process == process);
    timers.map(|it| ("timer", format!("{}, in {}", it.what, left(it.at_us.saturating_sub(scene.view.time_us)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_said_and_not_shown() {
        let mut scene = Scene::new(1);
        scene.selection = Selection::Record("b1/orders-0".to_owned(), 7);
        let words: String = inspect(&scene).iter().map(Shape::words).collect();
        assert_eq!(words, "Inspectorb1/orders-0 does not exist at this moment.");
        assert_eq!(bytes("Its batch", &[]), None);
    }
}
