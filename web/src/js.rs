//! A view as plain objects of JavaScript. By hand: a serializer would weigh more than all of this.

use js_sys::{Array, Object, Reflect};
use leptos::web_sys::js_sys;
use sim::World;
use sim::check::Became;
use sim::operations::{Operation, Which};
use wasm_bindgen::JsValue;

use crate::view::{
    Branch, Broker, Check, Client, Finding, Group, Member, Message, Partition, Position, Record, Replica, Role, Share,
    State, Timer, Verdict, View, Wait,
};

/// Operations that are told at once.
const OPERATIONS: usize = 64;

/// The moment, in the shape that view.rs declares for TypeScript.
pub(crate) fn view(it: &View, ledger: JsValue) -> JsValue {
    object(&[
        ("timeUs", count(it.time_us)),
        ("event", count(it.event)),
        ("lastEvent", count(it.last_event)),
        ("branch", count(it.branch as u64)),
        ("branches", list(&it.branches, branch)),
        ("hash", (&*it.hash).into()),
        ("sentence", (&*it.sentence).into()),
        ("brokers", list(&it.brokers, broker)),
        ("partitions", list(&it.partitions, partition)),
        ("clients", list(&it.clients, client)),
        ("links", list(&it.links, pair)),
        ("cuts", list(&it.cuts, pair)),
        ("messages", list(&it.messages, message)),
        ("timers", list(&it.timers, timer)),
        ("checks", list(&it.checks, check)),
        ("findings", list(&it.findings, finding)),
        ("atRisk", count(it.at_risk)),
        ("groups", list(&it.groups, group)),
        ("ledger", ledger),
    ])
}

/// What clients asked for, the newest of it that begins before an event.
pub(crate) fn ledger(world: &World, which: Which, before: u64) -> JsValue {
    let it = world.ledger(which, before, OPERATIONS);
    object(&[
        ("ok", count(it.ok)),
        ("failed", count(it.failed)),
        ("unknown", count(it.unknown)),
        ("pending", count(it.pending)),
        ("lost", count(it.lost)),
        ("operations", list(&it.operations, operation)),
    ])
}

fn operation(it: &Operation) -> JsValue {
    let lost = match it.became {
        Some(Became::Lost(at, verdict)) => Some((at, verdict)),
        _ => None,
    };
    object(&[
        ("client", (&*it.client).into()),
        ("what", (&*it.what).into()),
        ("asked", count(it.asked)),
        ("settled", known(it.settled, count)),
        ("outcome", it.told.word().into()),
        ("why", if it.why.is_empty() { JsValue::UNDEFINED } else { (&*it.why).into() }),
        ("partition", known(it.place.as_ref(), |it| it.0.to_string().into())),
        ("offset", known(it.place.as_ref(), |it| whole(it.1.0))),
        ("became", known(it.became, |it| it.word().into())),
        ("verdict", known(lost, |it| verdict_of(it.1))),
        ("lostAt", known(lost.and_then(|it| it.0), count)),
    ])
}

/// The moment in a few words, as vivarium-lab.d.ts declares it.
pub(crate) fn moment(it: &View, is_still: bool) -> JsValue {
    object(&[
        ("event", count(it.event)),
        ("lastEvent", count(it.last_event)),
        ("branch", count(it.branch as u64)),
        ("timeUs", count(it.time_us)),
        ("playing", (!is_still).into()),
        ("hash", (&*it.hash).into()),
        ("sentence", (&*it.sentence).into()),
        ("findings", count(it.findings.len() as u64)),
    ])
}

fn object(fields: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (name, value) in fields {
        // A new object takes every field.
        let _ = Reflect::set(&object, &(*name).into(), value);
    }
    object.into()
}

fn list<T>(items: &[T], one: fn(&T) -> JsValue) -> JsValue {
    let array = Array::new();
    for item in items {
        array.push(&one(item));
    }
    array.into()
}

/// JavaScript's numbers are exact up to 2⁵³: no clock and no offset of a run comes near.
fn count(number: u64) -> JsValue {
    (number as f64).into()
}

fn whole(number: i64) -> JsValue {
    (number as f64).into()
}

fn known<T>(value: Option<T>, one: fn(T) -> JsValue) -> JsValue {
    value.map_or(JsValue::UNDEFINED, one)
}

fn text(value: Option<&String>) -> JsValue {
    value.map_or(JsValue::UNDEFINED, |it| (&**it).into())
}

fn pair((from, to): &(String, String)) -> JsValue {
    Array::of2(&(&**from).into(), &(&**to).into()).into()
}

fn state(it: State) -> JsValue {
    match it {
        State::Up => "up",
        State::Starting => "starting",
        State::Stopping => "stopping",
        State::Down => "down",
        State::Dark => "dark",
        State::Paused => "paused",
    }
    .into()
}

fn branch(it: &Branch) -> JsValue {
    object(&[
        ("name", (&*it.name).into()),
        ("lastEvent", count(it.last_event)),
        ("forkedAt", known(it.forked_at, count)),
    ])
}

fn broker(it: &Broker) -> JsValue {
    object(&[
        ("name", (&*it.name).into()),
        ("id", it.id.into()),
        ("state", state(it.state)),
        ("isBroker", it.is_broker.into()),
        ("isController", it.is_controller.into()),
        ("brokerEpoch", known(it.broker_epoch, whole)),
        ("quorumEpoch", known(it.quorum_epoch, JsValue::from)),
        ("fenced", it.fenced.into()),
        ("connections", count(it.connections as u64)),
        ("waits", list(&it.waits, wait)),
    ])
}

fn wait(it: &Wait) -> JsValue {
    object(&[
        ("client", (&*it.client).into()),
        ("what", (&*it.what).into()),
        ("sinceUs", count(it.since_us)),
        ("deadlineUs", known(it.deadline_us, count)),
    ])
}

fn timer(it: &Timer) -> JsValue {
    object(&[
        ("process", (&*it.process).into()),
        ("what", (&*it.what).into()),
        ("sinceUs", known(it.since_us, count)),
        ("atUs", count(it.at_us)),
    ])
}

fn partition(it: &Partition) -> JsValue {
    object(&[
        ("name", (&*it.name).into()),
        ("topic", (&*it.topic).into()),
        ("partition", it.partition.into()),
        ("leader", text(it.leader.as_ref())),
        ("leaderEpoch", it.leader_epoch.into()),
        ("isr", list(&it.isr, |it| (&**it).into())),
        ("elr", list(&it.elr, |it| (&**it).into())),
        ("minIsr", count(it.min_isr as u64)),
        ("replicas", list(&it.replicas, replica)),
        ("logStart", whole(it.log_start)),
        ("highWatermark", whole(it.high_watermark)),
        ("synced", whole(it.synced)),
        ("logEnd", whole(it.log_end)),
        ("records", list(&it.records, record)),
    ])
}

fn replica(it: &Replica) -> JsValue {
    object(&[
        ("broker", (&*it.broker).into()),
        ("isThere", it.is_there.into()),
        ("standing", it.standing.word().into()),
        ("led", known(it.led, JsValue::from)),
        ("believes", known(it.believes, JsValue::from)),
        ("logStart", whole(it.log_start)),
        ("highWatermark", whole(it.high_watermark)),
        ("synced", whole(it.synced)),
        ("logEnd", whole(it.log_end)),
        ("records", list(&it.records, record)),
        ("cut", list(&it.cut, record)),
    ])
}

/// Records, as [`view`] has them.
pub(crate) fn records(records: &[Record]) -> JsValue {
    list(records, record)
}

fn record(it: &Record) -> JsValue {
    object(&[
        ("offset", whole(it.offset)),
        ("leaderEpoch", it.leader_epoch.into()),
        ("key", text(it.key.as_ref())),
        ("value", text(it.value.as_ref())),
        ("timestampMs", whole(it.timestamp_ms)),
        ("baseOffset", whole(it.base_offset)),
        ("producerId", known(it.producer_id, whole)),
        ("sequence", known(it.sequence, whole)),
    ])
}

fn client(it: &Client) -> JsValue {
    let role = match it.role {
        Role::Producer => "producer",
        Role::Consumer => "consumer",
        Role::Wire => "wire",
    };
    object(&[
        ("name", (&*it.name).into()),
        ("role", role.into()),
        ("state", state(it.state)),
        ("connected", it.connected.into()),
        ("load", text(it.load.as_ref())),
        ("ok", count(it.ok)),
        ("failed", count(it.failed)),
        ("unknown", count(it.unknown)),
        ("pending", count(it.pending)),
        ("consumed", count(it.consumed)),
        ("positions", list(&it.positions, position)),
        ("answers", count(it.answers as u64)),
        ("lastAnswer", text(it.last_answer.as_ref())),
    ])
}

fn position(it: &Position) -> JsValue {
    object(&[
        ("partition", (&*it.partition).into()),
        ("offset", known(it.offset, whole)),
        ("lag", known(it.lag, whole)),
    ])
}

fn message(it: &Message) -> JsValue {
    object(&[
        ("id", (&*it.id).into()),
        ("from", (&*it.from).into()),
        ("to", (&*it.to).into()),
        ("what", it.what.into()),
        ("isAnswer", it.is_answer.into()),
        ("sentUs", count(it.sent_us)),
        ("arrivesUs", count(it.arrives_us)),
        ("stalled", it.stalled.into()),
        ("isIdle", it.is_idle.into()),
    ])
}

fn group(it: &Group) -> JsValue {
    object(&[
        ("name", (&*it.name).into()),
        ("protocol", it.protocol.into()),
        ("assignor", text(it.assignor.as_ref())),
        ("state", text(it.state.as_ref())),
        ("epoch", it.epoch.into()),
        ("coordinator", text(it.coordinator.as_ref())),
        ("members", list(&it.members, member)),
        ("shares", list(&it.shares, share)),
        ("pausedUs", count(it.paused_us)),
        ("newcomer", text(it.newcomer.as_ref())),
        ("pausedSinceNewcomerUs", count(it.paused_since_newcomer_us)),
        ("holds", list(&it.holds, |it| (&**it).into())),
    ])
}

fn member(it: &Member) -> JsValue {
    object(&[
        ("client", (&*it.client).into()),
        ("instance", text(it.instance.as_ref())),
        ("epoch", known(it.epoch, JsValue::from)),
        ("state", (&*it.state).into()),
        ("isLeader", it.is_leader.into()),
        ("isCounted", it.is_counted.into()),
        ("slowUs", count(it.slow_us)),
        ("process", state(it.process)),
        ("pollUntilUs", known(it.poll_until_us, count)),
    ])
}

fn share(it: &Share) -> JsValue {
    object(&[
        ("partition", (&*it.partition).into()),
        ("owners", list(&it.owners, |it| (&**it).into())),
        ("releasedBy", text(it.released_by.as_ref())),
        ("awaitedBy", text(it.awaited_by.as_ref())),
        ("committed", known(it.committed, whole)),
        ("position", known(it.position, whole)),
        ("end", whole(it.end)),
        ("lag", known(it.lag(), whole)),
        ("pausedUs", count(it.paused_us)),
    ])
}

fn verdict_of(it: Verdict) -> JsValue {
    it.word().into()
}

fn finding(it: &Finding) -> JsValue {
    object(&[
        ("event", count(it.event)),
        ("check", (&*it.check).into()),
        ("verdict", verdict_of(it.verdict)),
        ("what", (&*it.what).into()),
        ("acked", count(it.acked)),
    ])
}

fn check(it: &Check) -> JsValue {
    object(&[
        ("name", it.name.into()),
        ("holds", it.holds.into()),
        ("meaning", it.meaning.into()),
        ("brokenBy", text(it.broken_by.as_ref())),
        ("brokenAt", known(it.broken_at, count)),
    ])
}
