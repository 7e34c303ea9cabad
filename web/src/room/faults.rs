//! What a person can break, as buttons: each does a line of the scenario language, and names what does so in the world.

use super::left;
use super::scene::Scene;
use crate::draw::{Shape, classed, glyph, shape, text};
use crate::view::{Broker, State};

/// How much slower a disk or a way is made, in µs.
const SLOW_US: u64 = 200_000;
/// The name of everybody else, where one can be chosen.
pub(crate) const ALL: &str = "all";

/// The panel.
pub(crate) fn draw(scene: &Scene) -> Vec<Shape> {
    let Some(target) = scene.target() else { return Vec::new() };
    let nodes = scene.view.brokers.iter().map(|it| choice("target", &it.name, it.name == target.name));
    let mut shapes = vec![
        classed("div", "head").with([
            shape("h2").say("Break it"),
            classed("div", "picks").set("role", "group").set("aria-label", "Which node").with_all(nodes.collect()),
        ]),
        classed("div", "faults").with_all(node_faults(target)),
    ];
    let others = scene.others(&target.name);
    if others.is_empty() {
        return shapes;
    }
    let to = scene.other(&target.name);
    let mut picks: Vec<Shape> = others.iter().map(|it| choice("other", it, *it == to)).collect();
    picks.push(choice("other", ALL, to == ALL));
    shapes.push(classed("div", "head").with([
        shape("h2").say(format!("The way from {} to", target.name)),
        classed("div", "picks").set("role", "group").set("aria-label", "The other end").with_all(picks),
    ]));
    shapes.push(classed("div", "faults").with_all(way_faults(scene, &target.name, &to, &others)));
    shapes
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
    says: String,
    small: &'static str,
    lines: String,
    off: bool,
) -> Shape {
    let title = lines.replace('\n', "; ");
    let mut button = classed("button", "act")
        .named(id)
        .set("id", id)
        .set("title", if id == "kill" { format!("{title} (key: k)") } else { title })
        .set("data-do", format!("act:{lines}"))
        .when(off, "disabled", "")
        .with([glyph(picture), text(says)]);
    if !small.is_empty() {
        button.children.push(shape("small").say(small));
    }
    button
}

/// What can be done to a node.
fn node_faults(it: &Broker) -> Vec<Shape> {
    let (name, runs) = (&it.name, it.state.runs());
    let first = if runs {
        fault("kill", "#g-off", format!("Kill {name}"), "kill -9, the OOM killer", format!("kill {name}"), false)
    } else {
        fault("kill", "#i-play", format!("Start {name}"), "on the disk that it has", format!("start {name}"), false)
    };
    let paused = it.state == State::Paused;
    let pause = if paused {
        fault("pause", "#i-play", "Let it go on".to_owned(), "the pause is over", format!("resume {name}"), false)
    } else {
        fault("pause", "#i-pause", "Pause it".to_owned(), "a long GC, a frozen VM", format!("pause {name}"), !runs)
    };
    let disk = if it.slow_us > 0 {
        fault(
            "slow",
            "#i-play",
            "Disk as before".to_owned(),
            "as fast as before",
            format!("slow-disk {name} 0us"),
            false,
        )
    } else {
        let line = format!("slow-disk {name} {}ms", SLOW_US / 1_000);
        fault("slow", "#g-wait", "Slow its disk".to_owned(), "200 ms more each call", line, false)
    };
    let dark = it.state == State::Dark;
    let no_stop = !matches!(it.state, State::Up | State::Starting);
    vec![
        first,
        fault(
            "power",
            "#g-power",
            "Cut its power".to_owned(),
            "the page cache is gone",
            format!("power-cut {name}"),
            dark,
        ),
        fault("stop", "#g-wait", "Stop it".to_owned(), "SIGTERM, an update", format!("stop {name}"), no_stop),
        pause,
        fault("wipe", "#g-drop", "Wipe its disk".to_owned(), "once it does not run", format!("wipe {name}"), runs),
        disk,
        fault("full", "#g-bad", "Fill its disk".to_owned(), "no byte more", format!("disk-full {name}"), false),
        fault("mend", "#g-ok", "Mend its disk".to_owned(), "room again, no errors", format!("disk-heal {name}"), false),
    ]
}

/// What can be done to the ways between a node and one other process, or all.
fn way_faults(scene: &Scene, name: &str, to: &str, others: &[String]) -> Vec<Shape> {
    let ends: Vec<&String> = others.iter().filter(|it| to == ALL || **it == to).collect();
    let is_cut = |from: &str, to: &str| scene.view.cuts.iter().any(|it| it.0 == from && it.1 == to);
    let whole = |it: &str| is_cut(name, it) && is_cut(it, name);
    let lines = |which: &dyn Fn(&str) -> bool, line: &dyn Fn(&str) -> String| {
        let chosen: Vec<String> = ends.iter().filter(|it| which(it)).map(|it| line(it)).collect();
        chosen.join("\n")
    };
    let cut = lines(&|it| !whole(it), &|it| format!("cut {name} {it}"));
    let one_way = lines(&|it| !is_cut(name, it), &|it| format!("cut {name} -> {it}"));
    let heal = lines(&|it| is_cut(name, it) || is_cut(it, name), &|it| format!("heal {name} {it}"));
    let is_slow = |it: &str| {
        scene.view.delays.iter().any(|(a, b, _)| (&**a == name && &**b == it) || (&**a == it && &**b == name))
    };
    let slow = ends.iter().any(|it| is_slow(it));
    let us = if slow { 0 } else { SLOW_US };
    let delay = lines(&|it| is_slow(it) == slow, &|it| format!("delay {name} {it} {}ms", us / 1_000));
    let off = |lines: &str| lines.is_empty();
    let (cut_words, small) = if to == ALL {
        (format!("Isolate {name}"), "nobody hears of it")
    } else {
        ("Cut it".to_owned(), "a switch fails")
    };
    let delay_words = if slow { "As fast as before".to_owned() } else { format!("Delay it {}", left(SLOW_US)) };
    vec![
        fault("cut", "#g-cut", cut_words, small, cut.clone(), off(&cut)),
        fault("oneway", "#g-oneway", "Cut one way".to_owned(), "a firewall’s rule", one_way.clone(), off(&one_way)),
        fault("heal", "#g-ok", "Heal it".to_owned(), "packets pass again", heal.clone(), off(&heal)),
        fault("delay", "#g-wait", delay_words, "a busy link", delay.clone(), off(&delay)),
    ]
}
