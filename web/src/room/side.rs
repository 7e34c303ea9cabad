//! What is selected, in full, and what is promised.

use client::partition_of_key;
use leptos::prelude::*;

use super::state::{Room, Selection};
use super::{glyph, grouped, stamp};
use crate::view::{Broker, Client, Record, Role};

/// A line of a table: what, how much.
type Fact = (&'static str, String);

#[component]
pub(crate) fn Side(room: Room) -> impl IntoView {
    let broken = move || room.checks.read().iter().filter(|it| !it.holds).count();
    let count = move || {
        let (all, broken) = (room.checks.read().len(), broken());
        if broken == 0 { format!("{all} hold") } else { format!("{} hold, {broken} broken", all - broken) }
    };
    view! {
        <aside class="side">
            <section aria-label="Inspector" class="inspector">{move || inspect(room)}</section>
            <Ledger room/>
            <section aria-label="Checks">
                <h2>"Checks "<small>{count}</small></h2>
                <ul class="checks" id="checks">
                    <For each=move || room.checks.get() key=|it| (it.name.clone(), it.holds) children=|check| {
                        let mark = if check.holds { "g-ok" } else { "g-bad" };
                        let word = check.broken_at.map_or("holds".to_owned(), |it| format!("broken at step {}", grouped(it)));
                        view! {
                            <li class:bad=!check.holds><span class=if check.holds { "ok" } else { "harm" }>{glyph(mark)}</span><span>{check.meaning}</span><em>{word}</em>
                                {check.broken_by.map(|it| view! { <p>{it}</p> })}</li>
                        }
                    }/>
                </ul>
            </section>
            <p class="note">"Not modelled: TLS, CPU load, disk seeks. Not in this room yet: more brokers, groups, transactions."</p>
        </aside>
    }
}

/// What the producers were told about their records, in the three words there are.
#[component]
fn Ledger(room: Room) -> impl IntoView {
    let sum = move |of: fn(&Client) -> u64| room.clients.things().iter().map(of).sum::<u64>();
    let (ok, failed, unknown, pending) = (
        Memo::new(move |_| sum(|it| it.ok)),
        Memo::new(move |_| sum(|it| it.failed)),
        Memo::new(move |_| sum(|it| it.unknown)),
        Memo::new(move |_| sum(|it| it.pending)),
    );
    let read = Memo::new(move |_| sum(|it| it.consumed));
    view! {
        <section class="ledger" aria-label="Outcomes">
            <h2>"Outcomes "<small>"what producers were told"</small></h2>
            <dl>
                <dt class="ok" id="acked">{move || grouped(ok.get())}</dt><dd>"ok"</dd>
                <dt class="harm">{move || grouped(failed.get())}</dt><dd>"failed"</dd>
                <dt>{move || grouped(unknown.get())}</dt><dd>"unknown"</dd>
                <dt>{move || grouped(pending.get())}</dt><dd>"waiting"</dd>
                <dt>{move || grouped(read.get())}</dt><dd>"given to consumers"</dd>
            </dl>
        </section>
    }
}

fn inspect(room: Room) -> AnyView {
    match room.selection.get() {
        Selection::Nothing => view! {
            <h2>"Inspector"</h2>
            <p class="plain">"Select a record, a client or the broker: what it is and why it is there."</p>
        }
        .into_any(),
        Selection::Record(partition, offset) => {
            let found = room.partitions.named(&partition).and_then(|it| it.get());
            let count = room.partitions.all().len() as i32;
            let Some(found) = found else { return gone(format!("{partition} does not exist at this moment.")) };
            match found.records.iter().find(|it| it.offset == offset) {
                Some(record) => table(format!("Record {offset}"), partition, record_facts(record, count)),
                None if offset >= found.log_end => {
                    gone(format!("Offset {offset} of {partition} is not written yet at this moment."))
                }
                None => gone(format!("Offset {offset} of {partition} is further back than what is shown here.")),
            }
        }
        Selection::Process(name) => {
            if let Some(client) = room.clients.named(&name).and_then(|it| it.get()) {
                let kind = match client.role {
                    Role::Producer => "producer",
                    Role::Consumer => "consumer",
                    Role::Wire => "wire client",
                };
                return table(format!("{name} "), kind.to_owned(), client_facts(&client));
            }
            match room.brokers.named(&name).and_then(|it| it.get()) {
                Some(broker) => table(format!("{name} "), "broker and controller".to_owned(), broker_facts(&broker)),
                None => gone(format!("{name} does not exist at this moment.")),
            }
        }
    }
}

fn gone(why: String) -> AnyView {
    view! { <h2>"Inspector"</h2><p class="plain">{why}</p> }.into_any()
}

fn table(title: String, about: String, facts: Vec<Fact>) -> AnyView {
    let rows = facts.into_iter().map(|(name, value)| view! { <tr><th scope="row">{name}</th><td>{value}</td></tr> });
    view! { <h2>{title}" "<small>{about}</small></h2><table class="facts"><tbody>{rows.collect_view()}</tbody></table> }
        .into_any()
}

fn record_facts(record: &Record, partitions: i32) -> Vec<Fact> {
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
            let (partition, hash) = partition_of_key(key.as_bytes(), partitions);
            ("why here", format!("toPositive(murmur2(key)) = {hash}, mod {partitions} = {partition}"))
        }
        None => ("why here", "no key: the partition its producer stuck to (KIP-794)".to_owned()),
    });
    facts
}

fn client_facts(client: &Client) -> Vec<Fact> {
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
    facts
}

fn broker_facts(broker: &Broker) -> Vec<Fact> {
    let mut facts = vec![
        ("state", broker.state.word().to_owned()),
        ("node.id", broker.id.to_string()),
        ("broker epoch", broker.broker_epoch.map_or("– not registered".to_owned(), |it| it.to_string())),
        ("connections", broker.connections.to_string()),
    ];
    facts.extend(
        broker.waits.iter().map(|it| ("waits", format!("{} of {}, since {}", it.what, it.client, stamp(it.since_us)))),
    );
    facts
}
