//! KRaft, which is this cluster, beside a model of the same brokers with ZooKeeper: who is in charge, and who knows what. The model
//! goes by the same clock, and what is done to a broker is done to its twin.

use sim::action::Action;
use sim::zookeeper::{Controller, Deed, Model, Times};

use super::scene::Scene;
use super::{grouped, left, stage};
use crate::draw::{Shape, classed, shape};
use crate::engine::Engine;

/// The lesson that shows it, as the page's address names it.
pub(crate) const ROOM: &str = "zookeeper";
/// Who is the controller at first: whom the lesson's cluster elects.
const FIRST: &str = "b3";
/// Of the model: the run's own are too few to see what reading them costs.
const PARTITIONS: u64 = 100_000;
/// How many are compared.
const COUNTS: [u64; 4] = [100, 10_000, PARTITIONS, 1_000_000];
/// What happened last.
const EVENTS: usize = 5;

/// The model at the run's moment.
pub(crate) fn look(engine: &Engine) -> Model {
    let world = engine.history().world();
    let names: Vec<_> = world.setup().brokers.iter().map(|it| it.name.clone()).collect();
    let mut model = Model::new(&names, FIRST, PARTITIONS, Times::default());
    for it in engine.history().done() {
        let deed = match &it.action {
            Action::Kill(name) | Action::PowerCut(name) | Action::PowerCutTorn(name) => Deed::Kill(name.clone()),
            Action::Stop(name) => Deed::Stop(name.clone()),
            Action::Start(name) => Deed::Start(name.clone()),
            Action::Cut(a, b) => Deed::Cut(a.clone(), b.clone()),
            Action::Heal(a, b) => Deed::Heal(a.clone(), b.clone()),
            Action::CreateTopic(topic) => Deed::Change(topic.name.clone()),
            // A new life or a new way is all that the model knows of.
            _ => continue,
        };
        model.act(it.at.0, &deed);
    }
    model.run_until(engine.clock());
    model
}

/// The two beside each other.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let Some(model) = &scene.zookeeper else { return Vec::new() };
    let head = shape("h2").say("Two ways to keep metadata ").with([shape("small").say("one clock, the same faults")]);
    let ways = classed("div", "ways").with([kraft(scene), zookeeper(model)]);
    vec![classed("section", "group").set("aria-label", "KRaft and ZooKeeper").with([head, ways, failovers()])]
}

fn way(class: &'static str, name: &'static str, about: &'static str, (who, what): (String, String)) -> Shape {
    classed("section", class).set("aria-label", name).with([
        shape("h3").say(name).say(" ").with([shape("small").say(about)]),
        classed("p", "figure").with([shape("b").say(who), shape("small").say(format!(" {what}"))]),
    ])
}

fn table(rows: Vec<[String; 3]>) -> Shape {
    let head = ["who", "how it is", "knows"].map(|it| shape("th").set("scope", "col").say(it));
    let rows = rows.into_iter().map(|[name, state, knows]| {
        let name_cell = shape("th").set("scope", "row").say(name.clone());
        shape("tr").named(&name).with([name_cell, shape("td").say(state), shape("td").say(knows)])
    });
    classed("table", "outcomes")
        .with([shape("thead").with([shape("tr").with(head)]), shape("tbody").with_all(rows.collect())])
}

fn kraft(scene: &Scene) -> Shape {
    let brokers = &scene.view.brokers;
    let leader = brokers.iter().filter(|it| it.state.runs()).find_map(|it| Some((&it.name, it.quorum_epoch?)));
    let charge = match leader {
        Some((name, epoch)) => {
            (name.clone(), format!("is the active controller, elected in epoch {epoch} of the quorum"))
        }
        None => ("nobody".to_owned(), "is the active controller: the others hold an election".to_owned()),
    };
    let members = &scene.quorum.members;
    let newest = members.iter().map(|it| it.applied).max().unwrap_or(0);
    let rows = brokers.iter().map(|it| {
        let applied = members.iter().find(|member| *member.name == *it.name).map_or(0, |it| it.applied);
        let knows = match newest - applied {
            _ if !it.state.runs() => "–".to_owned(),
            0 => "all records".to_owned(),
            missing => format!("all but {missing}"),
        };
        [it.name.clone(), stage::condition(it), knows]
    });
    let rows = rows.collect();
    way("way", "KRaft", "this cluster", charge).with([table(rows)])
}

fn zookeeper(model: &Model) -> Shape {
    let now = model.now();
    let charge = match model.controller {
        Some(Controller { broker, session_ends: Some(at), .. }) => {
            let gone = &model.brokers[broker];
            let rest = left(at.saturating_sub(now));
            (
                "nobody".to_owned(),
                format!("is in charge: /controller still names {}, whose session lasts {rest} more", gone.name),
            )
        }
        Some(it) if it.reads_until > now => {
            let rest = it.reads_until - now;
            let read = PARTITIONS - (rest / Times::default().read).min(PARTITIONS);
            let words =
                format!("is not in charge yet: it has read {} of {} partitions", grouped(read), grouped(PARTITIONS));
            (model.brokers[it.broker].name.to_string(), words)
        }
        Some(it) => (model.brokers[it.broker].name.to_string(), format!("is the controller, in epoch {}", it.epoch)),
        None => ("nobody".to_owned(), "is there to make /controller".to_owned()),
    };
    let all = model.changes.len();
    let mut rows = vec![["ZooKeeper".to_owned(), "decides what is true".to_owned(), format!("{all} changes")]];
    rows.extend(model.brokers.iter().map(|it| {
        let state = match (it.runs, it.session_ends) {
            (true, _) => "has a session".to_owned(),
            (false, Some(at)) => format!("gone; its session lasts {} more", left(at.saturating_sub(now))),
            (false, None) => "gone".to_owned(),
        };
        let knows = match all.saturating_sub(it.knows) {
            _ if !it.runs => "–".to_owned(),
            0 => "all changes".to_owned(),
            missing => format!("all but {missing}"),
        };
        [it.name.to_string(), state, knows]
    }));
    let events = model
        .events
        .iter()
        .rev()
        .take(EVENTS)
        .map(|(at, words)| shape("li").say(format!("{}.{} s  {words}", at / 1_000_000, at / 100_000 % 10)));
    let events = classed("ul", "plain").set("aria-label", "What happened in the model").with_all(events.collect());
    way("way model", "ZooKeeper", "a model: none of Kafka’s code runs here", charge).with([table(rows), events])
}

/// What a failover takes by how many partitions there are.
fn failovers() -> Shape {
    let heads: Vec<Shape> = std::iter::once("partitions".to_owned())
        .chain(COUNTS.map(grouped))
        .map(|it| shape("th").set("scope", "col").say(it))
        .collect();
    let mut model = vec![shape("th").set("scope", "row").say("ZooKeeper (a model)")];
    model.extend(COUNTS.map(|it| shape("td").say(left(Model::failover(Times::default(), it)))));
    let kraft = [
        shape("th").set("scope", "row").say("KRaft"),
        shape("td")
            .set("colspan", "4")
            .say("an election, however many there are: who is elected has the metadata already"),
    ];
    classed("table", "outcomes").with([
        shape("caption").say("From the death of a controller until another one is in charge"),
        shape("thead").with([shape("tr").with_all(heads)]),
        shape("tbody").with([shape("tr").with_all(model), shape("tr").with(kraft)]),
    ])
}
