//! From a line's words to what it sets up, does or asks.

use protocol::{Instant, Str, TopicPartition};

use super::line::{Line, ScriptError};
use super::query::Query;
use super::quote::Duration;
use super::words::{ACTIONS, AFTER, CONDITIONS, QUESTIONS, TOLD, listed};
use super::{Awaited, Condition, Happening, PATIENCE, Step};
use crate::action::{Action, CreateTopic, DiskFault, Election, LARGEST, Load, Produce, SeekTo, WireAsk, WireProduce};
use crate::exhibit::Exhibit;
use crate::history::Stamped;
use crate::setup::{BrokerSetup, Setup};

/// A word and what it makes of the name that follows.
type Named<T> = (&'static str, fn(Str) -> T);
/// A word and what it makes of the name and the number that follow.
type Counted<T> = (&'static str, fn(Str, u64) -> T);

/// A word and what it asks of a partition's log, perhaps on one broker.
type OfLog = (&'static str, fn(TopicPartition, Option<Str>) -> Query);
/// A word and what it asks of a partition.
type OfPartition = (&'static str, fn(TopicPartition) -> Query);
/// A word and what it asks of a partition and a group.
type OfGroup = (&'static str, fn(TopicPartition, Str) -> Query);

/// Begins what happens.
const NEXT: &str = "next";

/// True if the line is part of the setup.
pub(super) fn set_up(line: &mut Line, setup: &mut Setup) -> Result<bool, ScriptError> {
    if line.eat("seed") {
        setup.seed = line.number("a seed: a number from 0")?;
    } else if line.eat("network") {
        setup.network_us = line.range()?;
    } else if line.eat("disk") {
        setup.disk_us = line.range()?;
    } else if line.eat("sync") {
        setup.sync_us = line.range()?;
    } else if line.eat("timers") {
        setup.timers_us = line.range()?;
    } else if line.eat("codec") {
        setup.codec = line.eat("on");
        if !setup.codec && !line.eat("off") {
            return Err(line.error("on or off"));
        }
    } else if line.eat("past") {
        let found = Exhibit::ALL.into_iter().find(|it| line.eat(it.word()));
        let words = Exhibit::ALL.map(Exhibit::word).join(", ");
        setup.past = Some(found.ok_or_else(|| line.error(&words))?);
    } else if line.eat("voters") {
        while !line.is_empty() {
            setup.voters.push(line.name("a controller's name")?);
        }
    } else if line.eat("broker") {
        let name = line.name("a broker's name")?;
        setup.brokers.push(BrokerSetup { name, settings: line.settings()? });
    } else {
        return Ok(false);
    }
    Ok(true)
}

/// Reads what is done or asked.
pub(super) fn step(line: &mut Line) -> Result<Step, ScriptError> {
    if line.eat("at") {
        let at = line.duration()?;
        return Ok(Step::At(at, action(line)?));
    }
    if line.eat("refused") {
        let code = line.error_code()?;
        let whole = line.clone();
        let action = action(line)?;
        if !action.asks_cluster() {
            return Err(whole.error("topic, alter, alter-broker, partitions or delete, which the cluster answers"));
        }
        return Ok(Step::Refused(code, action));
    }
    if line.eat("after") {
        let (after, turns) = line.moment()?;
        let at = Instant(line.duration()?.0);
        return Ok(Step::After(Stamped { after, turns, at, action: action(line)? }));
    }
    if line.eat("run") {
        return run(line);
    }
    if line.eat("expect") {
        let query = query(line)?;
        line.need("=")?;
        return Ok(Step::Expect(query, line.rest()));
    }
    if line.eat("show") {
        return Ok(Step::Show(query(line)?));
    }
    action(line).map(Step::Do)
}

fn run(line: &mut Line) -> Result<Step, ScriptError> {
    if line.eat("to") {
        line.need("event")?;
        return Ok(Step::RunEvents(line.number("a number of events")?));
    }
    if !line.eat("until") {
        return Ok(Step::Run(line.duration()?));
    }
    let awaited = if line.eat(NEXT) {
        let found = Happening::ALL.into_iter().find(|it| line.eat(it.word()));
        Awaited::Next(found.ok_or_else(|| line.error(&listed(&Happening::ALL.map(Happening::word))))?)
    } else {
        Awaited::So(condition(line, &CONDITIONS)?)
    };
    let within = if line.eat("within") { line.duration()? } else { PATIENCE };
    Ok(Step::RunUntil(awaited, within))
}

/// Reads what is to be so at one moment.
pub(super) fn goal(line: &mut Line) -> Result<Condition, ScriptError> {
    let words: Vec<&str> = CONDITIONS.into_iter().filter(|it| *it != NEXT).collect();
    condition(line, &words)
}

/// Reads what is so at a moment, or is not. If it is none, one of these words is expected.
fn condition(line: &mut Line, words: &[&str]) -> Result<Condition, ScriptError> {
    let counted: [Counted<Condition>; 4] = [
        ("acked", Condition::Acked),
        ("settled", Condition::Settled),
        ("consumed", Condition::Consumed),
        ("answered", Condition::Answered),
    ];
    for (word, make) in counted {
        if line.eat(word) {
            let name = line.name("a client's name")?;
            // So many of them, or which.
            if word == "consumed" && line.eat("=") {
                return Ok(Condition::Is(Query::Consumed(name), line.words_before("within")));
            }
            return Ok(make(name, line.number("a number")?));
        }
    }
    let named: [Named<Condition>; 3] =
        [("serving", Condition::Serving), ("down", Condition::Down), ("idle", Condition::Idle)];
    for (word, make) in named {
        if line.eat(word) {
            return Ok(make(line.name("a process's name")?));
        }
    }
    if line.eat("caught-up") {
        return Ok(Condition::CaughtUp(line.name("a consumer's name")?, line.name("a topic's name")?));
    }
    if !line.is_query() {
        return Err(line.error(&format!("{} or a question", listed(words))));
    }
    let query = query(line)?;
    line.need("=")?;
    Ok(Condition::Is(query, line.words_before("within")))
}

fn query(line: &mut Line) -> Result<Query, ScriptError> {
    const LOGS: [OfLog; 4] =
        [("log", Query::Log), ("start", Query::Start), ("high-watermark", Query::HighWatermark), ("end", Query::End)];
    for (word, make) in LOGS {
        if line.eat(word) {
            let partition = line.partition()?;
            let broker = if line.eat("on") { Some(line.name("a broker's name")?) } else { None };
            return Ok(make(partition, broker));
        }
    }
    const PARTITIONS: [OfPartition; 5] = [
        ("leader", Query::Leader),
        ("leader-epoch", Query::LeaderEpoch),
        ("isr", Query::Isr),
        ("elr", Query::Elr),
        ("replicas", Query::Replicas),
    ];
    for (word, make) in PARTITIONS {
        if line.eat(word) {
            return Ok(make(line.partition()?));
        }
    }
    const GROUPS: [Named<Query>; 6] = [
        ("group", Query::Group),
        ("members", Query::Members),
        ("unsettled", Query::Unsettled),
        ("paused", Query::Paused),
        ("owned", Query::Owned),
        ("epoch", Query::Epoch),
    ];
    for (word, make) in GROUPS {
        if line.eat(word) {
            return Ok(make(line.name("a group's or consumer's name")?));
        }
    }
    const OFFSETS: [OfGroup; 2] = [("committed", Query::Committed), ("lag", Query::Lag)];
    for (word, make) in OFFSETS {
        if line.eat(word) {
            let partition = line.partition()?;
            line.need("in")?;
            return Ok(make(partition, line.name("a group's name")?));
        }
    }
    if line.eat("epochs") {
        let partition = line.partition()?;
        line.need("on")?;
        Ok(Query::Epochs(partition, line.name("a broker's name")?))
    } else if line.eat("controller") {
        Ok(Query::Controller)
    } else if line.eat("voters") {
        Ok(Query::Voters)
    } else if line.eat("fenced") {
        Ok(Query::Fenced(line.name("a broker's name")?))
    } else if line.eat("behind") {
        Ok(Query::Behind)
    } else if line.eat("outcome") {
        Ok(Query::Outcome(line.name("a producer's name")?, line.number("a record's number, from 0")?))
    } else if line.eat("appended") {
        Ok(Query::Appended(line.name("a producer's name")?, line.number("a record's number, from 0")?))
    } else if line.eat("consumed") {
        Ok(Query::Consumed(line.name("a consumer's name")?))
    } else if line.eat("answer") {
        Ok(Query::Answer(line.name("a wire client's name")?, line.number("an answer's number, from 0")?))
    } else if line.eat("last") {
        Ok(Query::Last(line.name("a client's name")?))
    } else if line.eat("check") {
        let name = line.name("a check's name")?;
        Query::check(&name).ok_or_else(|| {
            let names: Vec<&str> = crate::check::Check::ALL.iter().map(|it| it.name()).collect();
            line.error(&format!("one of {} before it", names.join(", ")))
        })
    } else if line.eat("lost") {
        Ok(Query::Lost)
    } else if line.eat("allowed") {
        Ok(Query::Allowed)
    } else {
        let (last, others) = QUESTIONS.split_last().map_or(("", &[][..]), |it| (*it.0, it.1));
        Err(line.error(&format!("{} or {last}", listed(others))))
    }
}

/// Reads an action.
pub(super) fn action(line: &mut Line) -> Result<Action, ScriptError> {
    if line.eat("producer") {
        return Ok(Action::Producer(line.name("a producer's name")?, line.settings()?));
    }
    if line.eat("consumer") {
        return Ok(Action::Consumer(line.name("a consumer's name")?, line.settings()?));
    }
    if line.eat("wire") {
        return Ok(Action::Wire(line.name("a wire client's name")?, line.name("a broker's name")?));
    }
    if line.eat("topic") {
        return topic(line);
    }
    if line.eat("alter") {
        return Ok(Action::AlterTopic(line.name("a topic's name")?, line.settings()?));
    }
    if line.eat("alter-broker") {
        return Ok(Action::AlterBroker(line.name("a broker's name")?, line.settings()?));
    }
    if line.eat("partitions") {
        return Ok(Action::AddPartitions(line.name("a topic's name")?, line.number("a number of partitions")?));
    }
    if line.eat("delete") {
        if line.eat("topic") {
            return Ok(Action::DeleteTopic(line.name("a topic's name")?));
        }
        line.need("records")?;
        let partition = line.partition()?;
        line.need("before")?;
        return Ok(Action::DeleteRecords(partition, protocol::Offset(line.number("an offset")?)));
    }
    if line.eat("produce") {
        return produce(line);
    }
    if line.eat("load") {
        return load(line);
    }
    if line.eat("wire-produce") {
        return wire_produce(line);
    }
    if line.eat("ask") {
        let (client, api) = (line.name("a wire client's name")?, line.api()?);
        let it = WireAsk { client, api, fields: line.settings()? };
        // Who is meant does not matter to what may stand there.
        return it.request(Str::new()).map(|_| Action::WireAsk(it)).map_err(|expected| line.error(&expected));
    }
    if line.eat("elect") {
        let client = line.name("a wire client's name")?;
        let election = Election::ALL.into_iter().find(|it| line.eat(it.word()));
        let election = election.ok_or_else(|| line.error("preferred or unclean"))?;
        return Ok(Action::Elect(client, election, line.partition()?));
    }
    if line.eat("reassign") {
        let client = line.name("a wire client's name")?;
        let partition = line.partition()?;
        if line.eat("cancel") {
            return Ok(Action::Reassign(client, partition, Vec::new()));
        }
        let replicas = line.name("brokers' names, or cancel")?;
        return Ok(Action::Reassign(client, partition, replicas.split(',').map(Str::from).collect()));
    }
    if line.eat("move") {
        let client = line.name("a wire client's name")?;
        return Ok(Action::MoveReplica(client, line.partition()?, line.name("a log directory")?));
    }
    if line.eat("add-voter") {
        return Ok(Action::AddVoter(line.name("a wire client's name")?, line.name("a controller's name")?));
    }
    if line.eat("remove-voter") {
        return Ok(Action::RemoveVoter(line.name("a wire client's name")?, line.name("a controller's name")?));
    }
    if line.eat("assign") {
        let client = line.name("a consumer's name")?;
        let mut partitions = vec![line.partition()?];
        while !line.is_empty() {
            partitions.push(line.partition()?);
        }
        return Ok(Action::Assign(client, partitions));
    }
    if line.eat("seek") {
        return seek(line);
    }
    if line.eat("poll") {
        let client = line.name("a consumer's name")?;
        return Ok(Action::Poll(client, (line.duration()?.0 / 1_000).cast_signed()));
    }
    if line.eat("follow") {
        return Ok(Action::Follow(line.name("a consumer's name")?, line.name("a topic's name")?));
    }
    if line.eat("subscribe") {
        let client = line.name("a consumer's name")?;
        let mut topics = vec![line.name("a topic's name")?];
        while !line.is_empty() {
            topics.push(line.name("a topic's name")?);
        }
        return Ok(Action::Subscribe(client, topics));
    }
    if line.eat("slow") {
        return Ok(Action::Slow(line.name("a consumer's name")?, line.duration()?.0));
    }
    if line.eat("commit") {
        let client = line.name("a consumer's name")?;
        if line.is_empty() {
            return Ok(Action::Commit(client, None));
        }
        let partition = line.partition()?;
        return Ok(Action::Commit(client, Some((partition, protocol::Offset(line.number("an offset")?)))));
    }
    if line.eat("delay") {
        let (a, b) = (line.name("a process's name")?, line.name("another process's name")?);
        return Ok(Action::Delay(a, b, line.duration()?.0));
    }
    if line.eat("slow-disk") {
        return Ok(Action::SlowDisk(line.name("a broker's name")?, line.duration()?.0));
    }
    if line.eat("power-cut") {
        let name = line.name("a broker's name")?;
        return Ok(if line.eat("torn") { Action::PowerCutTorn(name) } else { Action::PowerCut(name) });
    }
    if line.eat("disk-error") {
        let name = line.name("a broker's name")?;
        let fault = DiskFault::ALL.into_iter().find(|it| line.eat(it.word()));
        return fault.map(|it| Action::DiskError(name, it)).ok_or_else(|| line.error("read, write or sync"));
    }
    if line.eat("lose-directory") {
        let name = line.name("a broker's name")?;
        return Ok(Action::LoseDirectory(name, line.number("a log directory's number, from 1")?));
    }
    if line.eat("bit-rot") {
        let (name, partition) = (line.name("a broker's name")?, line.partition()?);
        return Ok(Action::BitRot(name, partition, line.number("bytes before the end")?));
    }
    if line.eat("skew-clock") {
        return Ok(Action::SkewClock(line.name("a process's name")?, line.number("milliseconds")?));
    }
    if line.eat("drop") {
        if line.eat("message") {
            return Ok(Action::DropMessage(line.message()?));
        }
        line.need("next")?;
        line.need("response")?;
        line.need("of")?;
        let api = line.api()?;
        line.need("to")?;
        return Ok(Action::DropResponse(api, line.name("a client's name")?));
    }
    if line.eat("deliver") {
        line.need("message")?;
        return Ok(Action::DeliverMessage(line.message()?));
    }
    if line.eat("corrupt") {
        line.need("next")?;
        line.need("request")?;
        line.need("of")?;
        let api = line.api()?;
        line.need("from")?;
        return Ok(Action::CorruptRequest(api, line.name("a client's name")?));
    }
    named(line)
}

/// Actions that are a verb and one or two names.
fn named(line: &mut Line) -> Result<Action, ScriptError> {
    const ONE: [Named<Action>; 11] = [
        ("start", Action::Start),
        ("kill", Action::Kill),
        ("wipe", Action::Wipe),
        ("disk-full", Action::DiskFull),
        ("disk-heal", Action::DiskHeal),
        ("stop", Action::Stop),
        ("pause", Action::Pause),
        ("resume", Action::Resume),
        ("unload", Action::Unload),
        ("close", Action::Close),
        ("init-producer-id", Action::InitProducerId),
    ];
    for (word, make) in ONE {
        if line.eat(word) {
            return Ok(make(line.name("a process's name")?));
        }
    }
    if line.eat("cut") {
        let from = line.name("a process's name")?;
        let make = if line.eat("->") { Action::CutOneWay } else { Action::Cut };
        return Ok(make(from, line.name("another process's name")?));
    }
    if line.eat("heal") {
        return Ok(Action::Heal(line.name("a process's name")?, line.name("another process's name")?));
    }
    let words = [listed(&ACTIONS), listed(&TOLD), listed(&AFTER)];
    Err(line.error(&format!(
        "at, run, expect, show or an action: {}; or what is told: {}; {}",
        words[0], words[1], words[2]
    )))
}

fn topic(line: &mut Line) -> Result<Action, ScriptError> {
    let mut it = CreateTopic { name: line.name("a topic's name")?, partitions: 1, ..CreateTopic::default() };
    while let Some((column, key, value)) = line.pair() {
        if key == "partitions" {
            it.partitions = line.in_pair(column, &value, "a number of partitions")?;
        } else if key == "replication" {
            it.replication = Some(line.in_pair(column, &value, "a number of replicas")?);
        } else {
            let value: String = line.in_pair(column, &value, "text")?;
            if key == "replicas" {
                it.replicas.push(value.split(',').map(Str::from).collect());
                it.partitions = it.replicas.len() as i32;
            } else {
                it.settings.push((Str::from(key), Str::from(value)));
            }
        }
    }
    Ok(Action::CreateTopic(it))
}

fn produce(line: &mut Line) -> Result<Action, ScriptError> {
    let mut it =
        Produce { client: line.name("a producer's name")?, topic: line.name("a topic's name")?, ..Produce::default() };
    while let Some((column, key, value)) = line.pair() {
        match key.as_str() {
            "partition" => it.partition = Some(line.in_pair(column, &value, "a partition's number")?),
            "key" => it.key = Some(value),
            "value" => it.value = Some(value),
            _ => return Err(line.unknown_key(column, &key, "partition=, key= or value=")),
        }
    }
    Ok(Action::Produce(it))
}

fn load(line: &mut Line) -> Result<Action, ScriptError> {
    let (client, topic) = (line.name("a producer's name")?, line.name("a topic's name")?);
    let mut it = Load { client, topic, every_us: 1_000, count: None, keys: 0, size: 0 };
    while let Some((column, key, value)) = line.pair() {
        match key.as_str() {
            "every" => {
                let text: String = line.in_pair(column, &value, "a duration")?;
                let every = Duration::parse(&text).filter(|it| it.0 > 0);
                it.every_us = every.ok_or_else(|| line.wrong_value(column, &value, "a duration above zero"))?.0;
            }
            "count" => it.count = Some(line.in_pair(column, &value, "a number of records")?),
            "keys" => it.keys = line.in_pair(column, &value, "a number of keys")?,
            "size" => {
                let expected = format!("a number of bytes up to {LARGEST}");
                it.size = line.in_pair(column, &value, &expected)?;
                if it.size > LARGEST {
                    return Err(line.wrong_value(column, &value, &expected));
                }
            }
            _ => return Err(line.unknown_key(column, &key, "every=, count=, keys= or size=")),
        }
    }
    Ok(Action::Load(it))
}

fn wire_produce(line: &mut Line) -> Result<Action, ScriptError> {
    let (client, partition) = (line.name("a wire client's name")?, line.partition()?);
    let mut it = WireProduce { client, partition, acks: -1, producer: None, values: Vec::new() };
    let (mut id, mut epoch, mut sequence) = (None, 0, 0);
    while let Some((column, key, value)) = line.pair() {
        match key.as_str() {
            "acks" => it.acks = line.in_pair(column, &value, "acks as on the wire: -1, 0 or 1")?,
            "producer" => id = Some(line.in_pair(column, &value, "a producer id")?),
            "epoch" => epoch = line.in_pair(column, &value, "a producer epoch")?,
            "sequence" => sequence = line.in_pair(column, &value, "a sequence number")?,
            "value" => it.values.push(value),
            _ => return Err(line.unknown_key(column, &key, "acks=, producer=, epoch=, sequence= or value=")),
        }
    }
    it.producer = id.map(|id| (id, epoch, sequence));
    Ok(Action::WireProduce(it))
}

fn seek(line: &mut Line) -> Result<Action, ScriptError> {
    let (client, partition) = (line.name("a consumer's name")?, line.partition()?);
    let to = if line.eat("beginning") {
        SeekTo::Beginning
    } else if line.eat("end") {
        SeekTo::End
    } else {
        SeekTo::Offset(protocol::Offset(line.number("beginning, end or an offset")?))
    };
    Ok(Action::Seek(client, partition, to))
}
