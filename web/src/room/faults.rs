//! What a person can break, as buttons: each does lines of the scenario language, and names what does so in the world.

use super::left;
use super::scene::Scene;
use crate::draw::{Shape, Text, classed, glyph, shape, text};
use crate::view::{Broker, Client, Role, State};

/// How much slower a disk, a way or an application is made, in µs.
const SLOW_US: u64 = 200_000;
/// How far a clock is set wrong, in ms.
const SKEW_MS: u64 = 300_000;
/// So far before the end of a log a bit flips: within its last batch.
const ROT_AT: u64 = 20;
/// The name of everybody else, where one can be chosen.
const ALL: &str = "all";

/// The panel.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let Some((target, _)) = scene.target() else { return Vec::new() };
    // A client that says exactly what it is told is no process that could die.
    let is_process = |name: &str| scene.client(name).is_none_or(|it| it.role != Role::Wire);
    let names = scene.processes().map(|it| it.0).filter(|it| is_process(it));
    let picks = names.map(|it| choice("target", it, it == target)).collect();
    let mut faults = match (scene.view.brokers.iter().find(|it| it.name == target), scene.client(target)) {
        (Some(node), _) => node_faults(scene, node),
        (None, Some(client)) => client_faults(client),
        (None, None) => Vec::new(),
    };
    if scene.view.brokers.iter().any(|it| it.name == target) {
        let words = if scene.more { "Less …" } else { "More …" };
        let more = classed("button", "line").set("id", "more").set("data-do", "more:").say(words);
        faults.push(more.set("aria-expanded", if scene.more { "true" } else { "false" }));
    }
    let mut shapes = vec![head("Break it", "Which process", picks), classed("div", "faults").with_all(faults)];
    let (from, to) = ends(scene, target);
    if to.is_empty() {
        return shapes;
    }
    let all = scene.ends[1].iter().any(|it| it == ALL);
    let names = || scene.processes().map(|it| it.0);
    let picks = names().map(|it| choice("from", it, from.contains(&it))).collect();
    let others = names().filter(|it| !from.contains(it)).map(|it| choice("other", it, !all && to.contains(&it)));
    let others = others.chain([choice("other", ALL, all)]).collect();
    shapes.extend([
        head("The ways from", "One end, one or several", picks),
        head("to", "The other end, one or several", others),
        classed("div", "faults").with_all(way_faults(scene, &from, &to)),
    ]);
    shapes
}

fn head(words: &'static str, label: &'static str, picks: Vec<Shape>) -> Shape {
    classed("div", "head").with([
        shape("h2").say(words),
        classed("div", "picks").set("role", "group").set("aria-label", label).with_all(picks),
    ])
}

/// Adds an end of ways to those that are shown as chosen, or takes it away.
pub(crate) fn choose(scene: &mut Scene, side: usize, name: &str) {
    let owned = |ends: Vec<&str>| ends.into_iter().map(str::to_owned).collect();
    let (from, to) = scene.target().map_or_else(Default::default, |it| ends(scene, it.0));
    let is_all = scene.ends[1].iter().any(|it| it == ALL);
    let mut shown: Vec<String> = owned(if side == 0 { from } else { to });
    if side == 1 && is_all {
        shown = vec![ALL.to_owned()];
    }
    let was = shown.iter().any(|it| it == name);
    shown.retain(|it| it != name && it != ALL && name != ALL);
    if !was {
        shown.push(name.to_owned());
    }
    scene.ends[side] = shown;
}

/// The ends of the ways that are to be broken: the process that is, and the first other one, unless somebody chose.
fn ends<'a>(scene: &'a Scene, target: &'a str) -> (Vec<&'a str>, Vec<&'a str>) {
    let names = || scene.processes().map(|it| it.0);
    let chosen = |ends: &[String], name: &str| ends.iter().any(|it| it == name);
    let mut from: Vec<&str> = names().filter(|it| chosen(&scene.ends[0], it)).collect();
    if from.is_empty() {
        from.push(target);
    }
    let others = || names().filter(|it| !from.contains(it));
    let all = chosen(&scene.ends[1], ALL);
    let mut to: Vec<&str> = others().filter(|it| all || chosen(&scene.ends[1], it)).collect();
    if to.is_empty() {
        to.extend(others().next());
    }
    (from, to)
}

/// One of several.
fn choice(verb: &'static str, name: &str, is_on: bool) -> Shape {
    classed("button", if is_on { "pick on" } else { "pick" })
        .named(name)
        .set("aria-pressed", if is_on { "true" } else { "false" })
        .set("data-do", format!("{verb}:{name}"))
        .say(name.to_owned())
}

/// A button: its id, its picture, what it says, what does that in the world, and the lines that it does.
fn fault(
    id: &'static str,
    picture: &'static str,
    says: impl Into<Text>,
    cause: &'static str,
    lines: String,
    off: bool,
) -> Shape {
    let title = lines.replace('\n', "; ");
    classed("button", "act")
        .named(id)
        .set("id", id)
        .set("title", if id == "kill" { title + " (key: k)" } else { title })
        .set("data-do", format!("act:{lines}"))
        .when(off, "disabled", "")
        .with([glyph(picture), text(says), shape("small").say(cause)])
}

/// What can be done to any process: it dies or starts, it stands still or goes on.
fn life(name: &str, state: State) -> [Shape; 2] {
    let runs = state.runs();
    [
        if runs {
            fault("kill", "#g-off", format!("Kill {name}"), "kill -9, the OOM killer", format!("kill {name}"), false)
        } else {
            fault("kill", "#i-play", format!("Start {name}"), "systemd, a person", format!("start {name}"), false)
        },
        if state == State::Paused {
            fault("pause", "#i-play", "Let it go on", "the GC is done", format!("resume {name}"), false)
        } else {
            fault("pause", "#i-pause", "Freeze it", "a long GC, a frozen VM", format!("pause {name}"), !runs)
        },
    ]
}

/// What can be done to a client.
fn client_faults(it: &Client) -> Vec<Shape> {
    let name = &it.name;
    let mut faults: Vec<Shape> = life(name, it.state).into();
    if it.role == Role::Consumer {
        let us = if it.slow_us > 0 { 0 } else { SLOW_US };
        let (says, cause) = match us {
            0 => ("As fast as before", "the database is well again"),
            _ => ("Slow its work", "a slow database behind it"),
        };
        faults.push(fault("slow", "#g-wait", says, cause, format!("slow {name} {}ms", us / 1_000), false));
    }
    faults
}

/// What can be done to a node.
fn node_faults(scene: &Scene, it: &Broker) -> Vec<Shape> {
    let (name, runs) = (&it.name, it.state.runs());
    let dark = it.state == State::Dark;
    let no_stop = !matches!(it.state, State::Up | State::Starting);
    let [first, pause] = life(name, it.state);
    let disk = if it.slow_us > 0 {
        fault("slow", "#g-ok", "Disk as before", "the neighbour is gone", format!("slow-disk {name} 0us"), false)
    } else {
        let line = format!("slow-disk {name} {}ms", SLOW_US / 1_000);
        fault("slow", "#g-wait", "Slow its disk", "a noisy neighbour", line, false)
    };
    let mut faults = vec![
        first,
        fault("power", "#g-power", "Cut its power", "a power supply fails", format!("power-cut {name}"), dark),
        fault("stop", "#g-wait", "Stop it", "SIGTERM, an update", format!("stop {name}"), no_stop),
        pause,
        fault("wipe", "#g-drop", "Wipe its disk", "a new, empty volume", format!("wipe {name}"), runs),
        disk,
        fault("full", "#g-bad", "Fill its disk", "a log nobody rotates", format!("disk-full {name}"), false),
        fault("mend", "#g-ok", "Mend its disk", "somebody makes room", format!("disk-heal {name}"), false),
    ];
    if !scene.more {
        return faults;
    }
    let copy = scene.chosen_partition().filter(|it| it.replicas.iter().any(|it| it.broker == *name && it.log_end > 0));
    let partition = copy.map_or("a log", |it| &*it.name);
    let rot = format!("bit-rot {name} {partition} {ROT_AT}");
    faults.extend([
        fault("torn", "#g-power", "Tear its writes", "power fails in a write", format!("power-cut {name} torn"), dark),
        fault("rot", "#g-bad", format!("Rot {partition}"), "a bit flips on worn flash", rot, copy.is_none()),
        fault("read", "#g-bad", "Fail its reads", "bad sectors", format!("disk-error {name} read"), false),
        fault("write", "#g-bad", "Fail its writes", "a cable comes loose", format!("disk-error {name} write"), false),
        fault("sync", "#g-bad", "Fail its syncs", "a controller gives up", format!("disk-error {name} sync"), false),
        fault("lose", "#g-drop", "Lose a directory", "a disk of it dies", format!("lose-directory {name} 1"), false),
        if it.skew_ms == 0 {
            fault("skew", "#g-wait", "Clock 5 min on", "no NTP", format!("skew-clock {name} {SKEW_MS}"), false)
        } else {
            fault("skew", "#g-ok", "Set its clock right", "NTP is back", format!("skew-clock {name} 0"), false)
        },
    ]);
    faults
}

/// What can be done to the ways from some processes to others.
fn way_faults(scene: &Scene, from: &[&str], to: &[&str]) -> Vec<Shape> {
    let is_cut = |from: &str, to: &str| scene.view.cuts.iter().any(|it| it.0 == from && it.1 == to);
    let is_slow = |one: &str, other: &str| {
        let is = |a: &str, b: &str| (a == one && b == other) || (a == other && b == one);
        scene.view.delays.iter().any(|it| is(&it.0, &it.1))
    };
    let lines = |which: &dyn Fn(&str, &str) -> bool, verb: &str, between: &str, after: &str| {
        let mut lines = Vec::new();
        for (a, b) in from.iter().flat_map(|a| to.iter().map(move |b| (a, b))) {
            if which(a, b) {
                lines.push(format!("{verb} {a}{between}{b}{after}"));
            }
        }
        lines.join("\n")
    };
    let cut = lines(&|a, b| !(is_cut(a, b) && is_cut(b, a)), "cut", " ", "");
    let one_way = lines(&|a, b| !is_cut(a, b), "cut", " -> ", "");
    let heal = lines(&|a, b| is_cut(a, b) || is_cut(b, a), "heal", " ", "");
    let slow = from.iter().any(|a| to.iter().any(|b| is_slow(a, b)));
    let us = if slow { 0 } else { SLOW_US };
    let delay = lines(&|a, b| is_slow(a, b) == slow, "delay", " ", &format!(" {}ms", us / 1_000));
    let (delay_words, cause) = if slow {
        ("As fast as before".to_owned(), "the backup is over")
    } else {
        (format!("Delay {}", left(SLOW_US)), "a backup fills the link")
    };
    let off = [&cut, &one_way, &heal, &delay].map(String::is_empty);
    vec![
        fault("cut", "#g-cut", "Cut", "a switch fails", cut, off[0]),
        fault("oneway", "#g-oneway", "Cut one way", "a firewall’s rule", one_way, off[1]),
        fault("heal", "#g-ok", "Heal", "the switch is replaced", heal, off[2]),
        fault("delay", "#g-wait", delay_words, cause, delay, off[3]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;

    /// Whatever a button of the panel does is lines of the language that the engine takes, of whichever process.
    #[test]
    fn every_button_is_lines_that_can_be_done_and_names_a_cause() {
        let mut engine = Engine::new("3").unwrap();
        engine.act("wire w1 b1").unwrap();
        let mut scene = Scene::new(1);
        (scene.view, scene.more, scene.chosen) = (engine.view(), true, "orders-0".to_owned());
        let mut verbs = Vec::new();
        for name in ["b1", "p1", "A"] {
            scene.target = name.to_owned();
            let panel = draw(&scene);
            let buttons = panel.iter().flat_map(|it| &it.children).filter(|it| it.attribute("class") == "act");
            for button in buttons {
                assert!(!button.children[2].words().is_empty(), "{} has no cause", button.words());
                if button.attribute("id") == "heal" || button.attribute("id") == "wipe" {
                    continue;
                }
                for line in button.attribute("data-do").trim_start_matches("act:").lines() {
                    let mut engine = Engine::new("3").unwrap();
                    engine.act(line).unwrap_or_else(|error| panic!("{line}: {error}"));
                    verbs.push(line.replace(name, "$").split(' ').take(3).collect::<Vec<_>>().join(" "));
                }
            }
        }
        let wanted = "kill $,pause $,slow $ 200ms,power-cut $ torn,bit-rot $ orders-0,disk-error $ read,disk-error $ sync,\
                      lose-directory $ 1,skew-clock $ 300000,disk-full $";
        for line in wanted.split(',') {
            assert!(verbs.iter().any(|it| it == line), "{line}: {verbs:?}");
        }
    }

    #[test]
    fn ways_are_between_any_sets() {
        let mut scene = Scene::new(1);
        scene.view = Engine::new("3").unwrap().view();
        scene.target = "b1".to_owned();
        let cut = |scene: &Scene| {
            let (from, to) = ends(scene, "b1");
            way_faults(scene, &from, &to)[0].attribute("data-do").to_owned()
        };
        let pressed = |scene: &Scene, side: usize| -> Vec<String> {
            let shapes = draw(scene);
            let picks = &shapes.iter().filter(|it| it.attribute("class") == "head").nth(side + 1).unwrap().children[1];
            let on = picks.children.iter().filter(|it| it.attribute("aria-pressed") == "true");
            on.map(Shape::words).collect()
        };
        assert_eq!(cut(&scene), "act:cut b1 b2", "the first other one");
        // To what is shown as chosen, though nobody chose it, another is added.
        choose(&mut scene, 0, "b2");
        assert_eq!((pressed(&scene, 0), pressed(&scene, 1)), (vec!["b1".into(), "b2".into()], vec!["b3".into()]));
        choose(&mut scene, 1, "p1");
        assert_eq!(cut(&scene), "act:cut b1 b3\ncut b1 p1\ncut b2 b3\ncut b2 p1");
        choose(&mut scene, 1, "p1");
        assert_eq!(cut(&scene), "act:cut b1 b3\ncut b2 b3");
        choose(&mut scene, 1, ALL);
        assert_eq!(cut(&scene).lines().count(), 12, "six others, from two");
        assert_eq!(pressed(&scene, 1), [ALL]);
        choose(&mut scene, 1, "A");
        assert_eq!(cut(&scene), "act:cut b1 A\ncut b2 A", "one again");
        let offered: Vec<String> = draw(&scene)
            .iter()
            .flat_map(|it| &it.children)
            .flat_map(|it| &it.children)
            .map(|it| it.attribute("data-do").to_owned())
            .filter(|it| it.starts_with("other:"))
            .collect();
        assert!(!offered.iter().any(|it| it == "other:b1" || it == "other:b2"), "{offered:?}");
        choose(&mut scene, 0, "b1");
        assert_eq!(pressed(&scene, 0), ["b2"]);
        scene.aim("b3");
        assert_eq!((pressed(&scene, 0), pressed(&scene, 1)), (vec!["b3".into()], vec!["A".into()]), "another process");
    }
}
