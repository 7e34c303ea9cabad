//! What a person does, heard once for the whole page: keys, clicks on what is drawn, choices and fields.

use leptos::ev::{self, KeyboardEvent};
use leptos::prelude::*;
use leptos::web_sys::js_sys::{Function, Number, Object, Reflect};
use leptos::web_sys::{Element, Event, HtmlElement};
use wasm_bindgen::JsCast;

use super::inspector::Level;
use super::scene::Selection;
use super::state::Room;
use super::{faults, fields, lesson, log, rescue, rooms, spacetime, story, terminal};
use crate::view::Partition;

/// Listens to the whole page.
pub(crate) fn listen(room: Room) {
    let _ = window_event_listener(ev::keydown, move |event| {
        let modified = event.ctrl_key() || event.meta_key() || event.alt_key();
        if !event.default_prevented() && !modified && pressed(room, &event) {
            event.prevent_default();
        }
    });
    let _ = window_event_listener(ev::click, move |event| {
        let Some(target) = target(&event) else { return };
        // What moves lies on top of everything in the glass.
        let in_glass = target.closest("#cluster, .axis").ok().flatten().is_some();
        let moving = in_glass.then(|| room.deed_at(event.client_x().into(), event.client_y().into())).flatten();
        if let Some(deed) = moving.or_else(|| deed_of(&target)) {
            do_(room, &deed);
        }
    });
    let _ = window_event_listener(ev::input, move |event| typed(room, &event));
    let _ = window_event_listener(ev::change, move |event| chosen(room, &event));
    let _ = window_event_listener(ev::resize, move |_| room.measure());
    let _ = window_event_listener(ev::hashchange, move |_| rooms::open(room));
    let _ = window_event_listener(ev::contextmenu, move |event| {
        let Some(target) = target(&event) else { return };
        let in_glass = target.closest("#cluster").ok().flatten().is_some();
        let moving = in_glass.then(|| room.deed_at(event.client_x().into(), event.client_y().into())).flatten();
        // Of a message there is a menu: what can be done to it.
        if let Some(deed) = moving.or_else(|| deed_of(&target)).filter(|it| it.starts_with("message:")) {
            event.prevent_default();
            do_(room, &deed);
            room.come_closer(Level::State);
            focus("drop-this");
        }
    });
}

fn target(event: &Event) -> Option<Element> {
    event.target()?.dyn_into::<Element>().ok()
}

/// What using an element means: its own `data-do`, or that of what it is in.
fn deed_of(element: &Element) -> Option<String> {
    let found = element.closest("[data-do]").ok()??;
    let is_off = found.has_attribute("disabled");
    found.get_attribute("data-do").filter(|_| !is_off)
}

/// Looks at what a link says. Of what a `data-do` can say that is what changes nothing of the run: a link may be anybody's.
pub(crate) fn look(room: Room, deed: &str) {
    let verbs = ["choose", "process", "record", "entry", "partition", "group", "timer", "check", "finding"];
    if deed.split_once(':').is_some_and(|it| verbs.contains(&it.0)) {
        do_(room, deed);
    }
}

/// Does what a `data-do` says: a verb, and what with.
pub(crate) fn do_(room: Room, deed: &str) {
    let Some((verb, what)) = deed.split_once(':') else { return };
    match verb {
        "process" => process(room, what),
        "partition" => partition(room, what),
        // Whose slot it is can be broken next.
        "slot" => {
            if let Some((broker, of)) = what.split_once('/') {
                room.change(|scene| scene.aim(broker));
                partition(room, of);
            }
        }
        "group" => room.select(Selection::Group(what.to_owned())),
        "check" => room.select(Selection::Check(what.to_owned())),
        "finding" => drop(what.parse().map(|it| room.select(Selection::Finding(it)))),
        "timer" => {
            if let Some((process, what)) = what.split_once('/') {
                room.select(Selection::Timer(process.to_owned(), what.to_owned()));
            }
        }
        "message" => {
            let found = room.with(|it| it.view.messages.iter().find(|it| it.id == what).cloned());
            if let Some(message) = found {
                room.stop();
                room.select(Selection::Message(message));
            }
        }
        "record" => {
            if let Some((partition, offset)) = what.rsplit_once(':')
                && let Ok(offset) = offset.parse()
            {
                room.select(Selection::Record(partition.to_owned(), offset));
            }
        }
        "scroll" => {
            if let Some((partition, way)) = what.rsplit_once(':') {
                let way = if way == "1" { 1 } else { -1 };
                room.change(|scene| scene.scroll(partition, way * scene.columns));
            }
        }
        "chapter" => drop(what.parse().map(|it| room.turn_to(it))),
        "on" => room.turn_on(),
        "bet" => drop(what.parse().map(|it| room.bet(it))),
        "knob" => drop(what.parse().map(|it| room.vary_on(it))),
        "puzzle" => {
            room.try_puzzle();
            // What was pressed is there no more, if it was the lesson's; whoever goes by keys is where the puzzle's are.
            if document().get_element_by_id("to-puzzle").is_none() {
                focus("hint");
            }
        }
        "hint" => room.hint(),
        "solve" => room.solve(),
        "sandbox" => room.play_freely(),
        "story" => room.to_story(),
        "lesson" => rooms::choose(room, what),
        "entry" => drop(what.parse().map(|offset| entry(room, offset))),
        "level" => drop(Level::ALL.into_iter().find(|it| it.word() == what).map(|it| room.come_closer(it))),
        "field" => room.choose_field(fields::place(what)),
        "part" => room.part(what.parse().ok()),
        "quorum" => room.change(|scene| scene.quorum.scroll(if what == "1" { 1 } else { -1 })),
        "spacetime" => spacetime::turn(room, what),
        "flight" => drop(what.parse().map(|it| spacetime::fly(room, it))),
        "files" => {
            if let Some((partition, broker)) = what.split_once(':') {
                room.change(|scene| {
                    scene.files.partition = partition.to_owned();
                    scene.files.is_chosen = !broker.is_empty();
                    if scene.files.is_chosen {
                        scene.files.broker = broker.to_owned();
                    }
                });
            }
        }
        "act" => what.lines().for_each(|line| {
            room.act(line);
        }),
        "choose" => room.change(|scene| scene.chosen = what.to_owned()),
        "target" => room.change(|scene| scene.aim(what)),
        "from" => room.change(|scene| faults::choose(scene, 0, what)),
        "other" => room.change(|scene| faults::choose(scene, 1, what)),
        "more" => room.change(|scene| scene.more = !scene.more),
        "page" => room.change(|scene| scene.page = what.parse().unwrap_or(0)),
        "newcomer" => room.add_member(what),
        "lane" => drop(what.parse().map(|it| room.look_at_lane(it))),
        "branch" => drop(what.parse().map(|it| room.switch(it))),
        "seek" => drop(what.parse().map(|it| room.seek(it))),
        "table" => {
            room.change(|scene| scene.table = if scene.table == what { String::new() } else { what.to_owned() });
            focus("table");
        }
        "why" => room.ask_why(),
        "ledger" => room.change(|scene| scene.ledger.turn(what)),
        "rescue" => rescue::ask(room),
        "help" => help(room),
        "nothing" => room.select(Selection::Nothing),
        // A drawing of ours names no other verb.
        _ => {}
    }
}

/// Opens the list of words and keys, or closes it. The focus is in it meanwhile.
pub(crate) fn help(room: Room) {
    room.change(|scene| scene.help = !scene.help);
    focus(if room.with(|it| it.help) { "words" } else { "keys" });
}

/// Looks at a record of the metadata log.
fn entry(room: Room, offset: i64) {
    room.change(|scene| scene.quorum.chosen = Some(offset));
    room.select(Selection::Entry(offset));
}

/// Looks at a process; a node is also the one that is to be broken.
fn process(room: Room, name: &str) {
    if room.with(|it| it.view.brokers.iter().any(|it| it.name == name)) {
        room.change(|scene| scene.aim(name));
    }
    room.select(Selection::Process(name.to_owned()));
}

/// Looks at a partition, and at its log.
fn partition(room: Room, name: &str) {
    room.change(|scene| scene.chosen = name.to_owned());
    room.select(Selection::Partition(name.to_owned()));
}

/// What is typed or dragged.
fn typed(room: Room, event: &Event) {
    let Some(target) = target(event) else { return };
    let id = target.id();
    let value = value_of(&id);
    match &*id {
        "key" => room.change(|scene| scene.key = value),
        "sought" => room.change(|scene| (scene.sought, scene.page) = (value, 0)),
        // JavaScript reads its own numbers, so that the engine need not hold the tables for it.
        "speed" => {
            let speed = Number::parse_float(&value);
            if speed.is_finite() {
                room.change(|scene| scene.speed = speed);
            }
        }
        "seek" => drop(value.parse().map(|it| room.seek(it))),
        _ => {}
    }
}

/// What is chosen from a menu.
fn chosen(room: Room, event: &Event) {
    let Some(target) = target(event) else { return };
    let id = target.id();
    let value = value_of(&id);
    match &*id {
        "until" => {
            if !value.is_empty() {
                room.act(&value);
            }
            // The menu is a verb: the same choice can be made again.
            set_value(&id, "");
        }
        "rate" => {
            story::set_rate(room, &value);
            // It shows what is sent.
            set_value(&id, "");
        }
        "branch" => room.rename(&value),
        "part" => {
            room.part(value.parse().ok());
            set_value(&id, "");
        }
        "rooms" => rooms::choose(room, &value),
        _ => {}
    }
}

/// True if the key meant something.
fn pressed(room: Room, event: &KeyboardEvent) -> bool {
    let key = event.key();
    let Some(target) = target(event) else { return false };
    let inside = |selector: &str| target.closest(selector).ok().flatten();
    if key == "Escape" && room.with(|it| it.help) {
        help(room);
        return true;
    }
    if key == "Escape" {
        if inside("input, select, textarea").is_none() {
            room.select(Selection::Nothing);
            room.forget_later();
        }
        if let Ok(target) = target.dyn_into::<HtmlElement>() {
            // Leaving a field is what Escape is for; where there is no focus nothing is left.
            let _ = target.blur();
        }
        return true;
    }
    if target.id() == "line" && key == "Tab" && !event.shift_key() {
        return terminal::complete(room);
    }
    if target.id() == "line" && (key == "ArrowUp" || key == "ArrowDown") {
        terminal::recall(room, if key == "ArrowUp" { 1 } else { -1 });
        return true;
    }
    // What is typed belongs to the field; what a control does by itself it keeps.
    if inside("input:not([type=range]), select, textarea").is_some()
        || (inside("input[type=range]").is_some() && key != " ")
        || (key == " " && inside("button, summary").is_some())
    {
        return false;
    }
    if (key == "Enter" || key == " ")
        && inside("button").is_none()
        && let Some(deed) = deed_of(&target)
    {
        do_(room, &deed);
        return true;
    }
    if let Some(row) = inside(".axis").and_then(|it| it.closest("[data-partition]").ok().flatten())
        && let Some(partition) = row.get_attribute("data-partition")
        && in_log(room, &partition, &key)
    {
        return true;
    }
    if inside(".metalog").is_some() && room.with(|it| it.quorum.clone()).choose(&key) {
        room.change(|scene| {
            scene.quorum.choose(&key);
        });
        if let Some(offset) = room.with(|it| it.quorum.chosen) {
            entry(room, offset);
        }
        return true;
    }
    if inside("#moments").is_some() && inside("button").is_none() && spacetime::pressed(room, &key) {
        return true;
    }
    if inside(".of-bytes, .hex").is_some() && (key == "ArrowUp" || key == "ArrowDown") {
        room.field_beside(if key == "ArrowUp" { -1 } else { 1 });
        return true;
    }
    if inside(".scroller").is_some() && ["ArrowUp", "ArrowDown", "PageUp", "PageDown"].contains(&&*key) {
        return false;
    }
    match &*key {
        " " => room.toggle(),
        "ArrowRight" | "." => room.step(),
        "ArrowLeft" | "," => room.back(),
        "Home" => room.seek(0),
        "End" => room.seek_end(),
        "+" | "=" => hasten(room, 0.1),
        "-" => hasten(room, -0.1),
        "w" => room.ask_why(),
        "n" => room.turn_on(),
        "p" => turn_back(room),
        "k" => story::kill_or_start(room),
        "l" => story::lose_answer(room),
        "d" => drop_this(room),
        "s" => press("share"),
        "t" => spacetime::turn(room, ""),
        "a" => focus("key"),
        "/" => focus("line"),
        "?" => help(room),
        _ => return bet(room, &key) || choose(room, &key),
    }
    true
}

/// Keys of a log: choose a record, another copy, scroll. True if this one is.
fn in_log(room: Room, name: &str, key: &str) -> bool {
    let chosen = room.with(|it| match &it.selection {
        Selection::Record(copy, offset) if copy.split_once('/').is_some_and(|it| it.1 == name) => {
            Some((copy.clone(), *offset))
        }
        _ => None,
    });
    let first_of = |it: &Partition| {
        let of_leader = it.replicas.iter().find(|replica| Some(&replica.broker) == it.leader.as_ref());
        Some(log::key(it, of_leader.or(it.replicas.first())?))
    };
    let copy = chosen.as_ref().map(|it| it.0.clone()).or_else(|| room.with(|it| first_of(it.partition(name)?)));
    let Some(copy) = copy else { return false };
    let chosen = chosen.map(|it| it.1);
    let ends = room.with(|it| it.replica(&copy).map(|it| (it.1.log_start, it.1.log_end)));
    let (Some((start, end)), Some((first, columns))) =
        (ends, room.with(|it| Some((it.sights.get(name)?.first, it.columns))))
    else {
        return false;
    };
    let choose = |copy: String, offset: i64| {
        let offset = offset.clamp(start, (end - 1).max(start));
        if offset < first {
            room.change(|scene| scene.scroll(name, offset - first));
        } else if offset >= first + columns {
            room.change(|scene| scene.scroll(name, offset + 1 - columns - first));
        }
        room.select(Selection::Record(copy, offset));
    };
    let beside = |way: isize| {
        room.with(|it| {
            let (partition, replica) = it.replica(&copy)?;
            let at = partition.replicas.iter().position(|it| it.broker == replica.broker)?;
            Some(log::key(partition, partition.replicas.get(at.checked_add_signed(way)?)?))
        })
    };
    match key {
        "ArrowLeft" => choose(copy, chosen.map_or(end - 1, |it| it - 1)),
        "ArrowRight" => choose(copy, chosen.map_or(first, |it| it + 1)),
        "ArrowUp" | "ArrowDown" => {
            if let Some(other) = beside(if key == "ArrowUp" { -1 } else { 1 }) {
                choose(other, chosen.unwrap_or(end - 1));
            }
        }
        "Home" => choose(copy, start),
        "End" => choose(copy, end - 1),
        "PageUp" => room.change(|scene| scene.scroll(name, -columns)),
        "PageDown" => room.change(|scene| scene.scroll(name, columns)),
        _ => return false,
    }
    true
}

/// Shows the copies of the partition of that number. False if there is none.
fn choose(room: Room, number: &str) -> bool {
    let found = room.with(|it| {
        let topic = &it.chosen_partition()?.topic;
        let is = |partition: &&Partition| partition.topic == *topic && partition.partition.to_string() == number;
        it.view.partitions.iter().find(is).map(|it| it.name.clone())
    });
    let is_there = found.is_some();
    if let Some(name) = found {
        room.change(|scene| scene.chosen = name);
    }
    is_there
}

/// Drops the message that is looked at.
fn drop_this(room: Room) {
    let line = room.with(|it| match &it.selection {
        Selection::Message(message) => Some(format!("drop message {}", message.id)),
        _ => None,
    });
    if let Some(line) = line {
        room.act(&line);
    }
}

/// Back in the story.
fn turn_back(room: Room) {
    if let Some(chapter) = room.with(|it| lesson::neighbour(it, -1)) {
        room.turn_to(chapter);
    }
}

/// Bets on the answer of that number. False if there is none to choose.
fn bet(room: Room, number: &str) -> bool {
    let answer = ["1", "2", "3", "4"].iter().position(|it| *it == number);
    answer.is_some_and(|it| room.bet(it))
}

fn hasten(room: Room, by: f64) {
    room.change(|scene| scene.speed = (scene.speed + by).clamp(-3.0, 2.0));
    set_value("speed", &crate::draw::tenths(room.with(|it| it.speed)));
}

/// Presses a button that the page's own scripts hear.
fn press(id: &str) {
    if let Some(element) = document().get_element_by_id(id).and_then(|it| it.dyn_into::<HtmlElement>().ok()) {
        element.click();
    }
}

fn focus(id: &str) {
    if let Some(element) = document().get_element_by_id(id).and_then(|it| it.dyn_into::<HtmlElement>().ok()) {
        // An element that cannot take the focus leaves it where it is.
        let _ = element.focus();
    }
}

/// Scrolls what holds the first such element as little as brings it into sight.
pub(crate) fn reveal(selector: &str) {
    let Ok(Some(element)) = document().query_selector(selector) else { return };
    let scroll = Reflect::get(&element, &"scrollIntoView".into()).ok().and_then(|it| it.dyn_into::<Function>().ok());
    let how = Object::new();
    // Of an object of our own, and of a function that every element has.
    let _ = Reflect::set(&how, &"block".into(), &"nearest".into());
    let _ = scroll.map(|it| it.call1(&element, &how));
}

/// Scrolls something so that what is in it is in its middle; nothing else moves.
pub(crate) fn scroll_to(list: &str, inside: &str) {
    let found = |it: &str| document().query_selector(it).ok().flatten();
    if let (Some(list), Some(it)) = (found(list), found(inside)) {
        let (around, it) = (list.get_bounding_client_rect(), it.get_bounding_client_rect());
        let by = it.top() + it.height() / 2.0 - around.top() - around.height() / 2.0;
        list.set_scroll_top(list.scroll_top() + by as i32);
    }
}

/// What a field holds or a menu shows. The room's fields have ids; one that is not there holds nothing.
pub(crate) fn value_of(id: &str) -> String {
    let field = document().get_element_by_id(id);
    let value = field.and_then(|it| Reflect::get(&it, &"value".into()).ok());
    value.and_then(|it| it.as_string()).unwrap_or_default()
}

/// Fills a field.
pub(crate) fn set_value(id: &str, value: &str) {
    if let Some(field) = document().get_element_by_id(id) {
        // Every element takes a property.
        let _ = Reflect::set(&field, &"value".into(), &value.into());
    }
}
