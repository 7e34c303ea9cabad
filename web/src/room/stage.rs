//! The cluster as a drawing: clients left and right (on a phone above and below), the broker between, messages on their way.

use leptos::prelude::*;

use super::grouped;
use super::state::{Room, Selection};
use crate::view::{Broker, CLOSED, Client, Message, Partition, Role, State};

/// Messages that are drawn at once; beyond it they are a number.
const DRAWN: usize = 24;
/// With at most so many on their way each has its name beside it.
const NAMED: usize = 7;

/// A card's place.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Place {
    x: f64,
    y: f64,
    w: f64,
    h: f64,
}

/// Where everything is. Two ways to lie: wide, and tall for a phone.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Plan {
    narrow: bool,
}

impl Plan {
    fn size(self) -> (f64, f64) {
        if self.narrow { (358.0, 396.0) } else { (700.0, 300.0) }
    }

    fn broker(self) -> Place {
        if self.narrow {
            Place { x: 74.0, y: 136.0, w: 210.0, h: 116.0 }
        } else {
            Place { x: 252.0, y: 92.0, w: 196.0, h: 116.0 }
        }
    }

    /// The client that is `index`th of `count` with its role.
    fn client(self, role: Role, index: usize, count: usize) -> Place {
        let (width, height) = self.size();
        let consumer = role == Role::Consumer;
        let (w, h) = if self.narrow { (112.0, 66.0) } else { (128.0, 62.0) };
        let share = (index as f64 + 0.5) / count.max(1) as f64;
        if self.narrow {
            let y = if consumer { height - h - 1.0 } else { 1.0 };
            Place { x: (width * share - w / 2.0).clamp(0.0, width - w), y, w, h }
        } else {
            let x = if consumer { width - w - 0.5 } else { 0.5 };
            Place { x, y: height * share - h / 2.0, w, h }
        }
    }

    /// The curve between a client and the broker: four points.
    fn link(self, client: Place, role: Role, index: usize, count: usize) -> [(f64, f64); 4] {
        let broker = self.broker();
        let share = (index as f64 + 1.0) / (count as f64 + 1.0);
        let consumer = role == Role::Consumer;
        if self.narrow {
            let (from, to) = if consumer { (client.y, broker.y + broker.h) } else { (client.y + client.h, broker.y) };
            let (x, end, middle) = (client.x + client.w / 2.0, broker.x + broker.w * share, (from + to) / 2.0);
            [(x, from), (x, middle), (end, middle), (end, to)]
        } else {
            let (from, to) = if consumer { (client.x, broker.x + broker.w) } else { (client.x + client.w, broker.x) };
            let (y, end, middle) = (client.y + client.h / 2.0, broker.y + broker.h * share, (from + to) / 2.0);
            [(from, y), (middle, y), (middle, end), (to, end)]
        }
    }
}

/// A point of a cubic curve, and 0 ≤ t ≤ 1.
fn point([a, b, c, d]: [(f64, f64); 4], t: f64) -> (f64, f64) {
    let u = 1.0 - t;
    let mix =
        |a: f64, b: f64, c: f64, d: f64| u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * d;
    (mix(a.0, b.0, c.0, d.0), mix(a.1, b.1, c.1, d.1))
}

fn curve([a, b, c, d]: [(f64, f64); 4]) -> String {
    format!("M{:.1} {:.1}C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}", a.0, a.1, b.0, b.1, c.0, c.1, d.0, d.1)
}

/// Every client's name and role, in the order in which they came.
type Cast = Vec<(String, Role)>;

/// A client's place and its link.
fn seat(cast: &Cast, plan: Plan, name: &str) -> Option<(Place, [(f64, f64); 4])> {
    let role = cast.iter().find(|it| it.0 == name)?.1;
    let side = |it: Role| it == Role::Consumer;
    let peers: Vec<&str> = cast.iter().filter(|it| side(it.1) == side(role)).map(|it| it.0.as_str()).collect();
    let index = peers.iter().position(|it| *it == name)?;
    let place = plan.client(role, index, peers.len());
    Some((place, plan.link(place, role, index, peers.len())))
}

#[component]
pub(crate) fn Stage(room: Room) -> impl IntoView {
    let plan = Memo::new(move |_| Plan { narrow: room.narrow.get() });
    let cast = Memo::new(move |_| room.clients.things().into_iter().map(|it| (it.name, it.role)).collect::<Cast>());
    let size = move || plan.get().size();
    let drawn = move || {
        let mut messages = room.messages.get();
        messages.truncate(DRAWN);
        messages
    };
    let more = move || {
        let count = room.messages.read().len();
        (count > DRAWN).then(|| format!("{} more on their way", grouped((count - DRAWN) as u64)))
    };
    view! {
        <div class="head">
            <h2>"Cluster"</h2>
            <div class="legend">
                <span><svg class="g" aria-hidden="true"><use href="#msg-up"/></svg>"request"</span>
                <span><svg class="g" aria-hidden="true"><use href="#msg-down"/></svg>"answer"</span>
                <span class="note">{more}</span>
            </div>
        </div>
        <svg class="stage" id="stage" viewBox=move || format!("0 0 {} {}", size().0, size().1) role="group" aria-label="Cluster">
            {move || cast.get().into_iter().filter_map(|(name, _)| {
                let (place, link) = seat(&cast.read(), plan.get(), &name)?;
                let signal = room.clients.named(&name)?;
                Some(view! { <ClientCard room name signal place link/> })
            }).collect_view()}
            {move || room.brokers.all().into_iter().take(1).map(|(name, signal)| view! { <BrokerCard room name signal place=plan.get().broker()/> }).collect_view()}
            <For each=drawn key=|it| it.id.clone() children=move |message| view! { <Envelope room message plan cast/> }/>
        </svg>
    }
}

#[component]
fn ClientCard(
    room: Room,
    name: String,
    signal: ArcRwSignal<Option<Client>>,
    place: Place,
    link: [(f64, f64); 4],
) -> impl IntoView {
    let client = Memo::new(move |_| signal.get().unwrap_or_else(|| Client { state: State::Down, ..Client::default() }));
    let Place { x, y, w, h } = place;
    let chosen = name.clone();
    let selected = move || room.selection.read() == Selection::Process(chosen.clone());
    let pick = Picker { room, name: name.clone() };
    let first = move || {
        client.with(|it| match it.role {
            Role::Consumer => format!("{} read", grouped(it.consumed)),
            Role::Producer | Role::Wire => format!("{} ok · {} failed", grouped(it.ok), grouped(it.failed)),
        })
    };
    let second = move || {
        client.with(|it| match it.role {
            _ if !it.state.runs() => it.state.word().to_owned(),
            Role::Consumer => match it.positions.iter().map(|it| it.lag).collect::<Option<Vec<_>>>() {
                Some(lags) if !lags.is_empty() => {
                    format!("lag {}", grouped(lags.iter().sum::<i64>().max(0).cast_unsigned()))
                }
                _ => "lag –".to_owned(),
            },
            Role::Producer | Role::Wire if it.unknown > 0 => format!("{} unknown", grouped(it.unknown)),
            Role::Producer | Role::Wire => format!("{} waiting", grouped(it.pending)),
        })
    };
    let title = move || {
        client.with(|it| match it.role {
            Role::Consumer => "consumer ",
            Role::Producer => "producer ",
            Role::Wire => "wire ",
        })
    };
    view! {
        <path class="link" class:cut=move || client.with(|it| !it.connected) d=curve(link)/>
        <g class="card" class:ghost=move || client.with(|it| !it.state.runs()) class:on=selected data-process=name.clone() tabindex="0" role="button"
            aria-label=move || client.with(|it| format!("{}{}, {}, {}", title(), it.name, first(), second())) on:click=pick.clone().click() on:keydown=pick.key()>
            <rect x=x y=y width=w height=h rx="9"/>
            <text class="b" x=x + 11.0 y=y + 20.0>{title}{name.clone()}</text>
            <text class="dim" x=x + 11.0 y=y + 36.0>{first}</text>
            <text class="dim" x=x + 11.0 y=y + 51.0>{second}</text>
        </g>
    }
}

#[component]
fn BrokerCard(room: Room, name: String, signal: ArcRwSignal<Option<Broker>>, place: Place) -> impl IntoView {
    let state = Memo::new(move |_| signal.get().map_or(State::Down, |it| it.state));
    let Place { x, y, w, h } = place;
    let chosen = name.clone();
    let selected = move || room.selection.read() == Selection::Process(chosen.clone());
    let pick = Picker { room, name: name.clone() };
    let label = {
        let name = name.clone();
        move || format!("broker {name}, {}", state.get().word())
    };
    let mark = move || match state.get() {
        State::Up => "#g-ok",
        State::Starting | State::Stopping => "#g-wait",
        State::Paused => "#i-pause",
        State::Down => "#g-off",
        State::Dark => "#g-power",
    };
    view! {
        <g class="card broker" class:ghost=move || !state.get().runs() class:on=selected data-process=name.clone() tabindex="0" role="button"
            aria-label=label on:click=pick.clone().click() on:keydown=pick.key()>
            <rect x=x y=y width=w height=h rx="10"/>
            <text class="big" x=x + 13.0 y=y + 25.0>{name.clone()}</text>
            <use href=mark x=x + 38.0 y=y + 14.0 width="12" height="12" class:harm=move || !state.get().runs()/>
            <text class="dim" id="broker-state" x=x + 55.0 y=y + 24.0>{move || state.get().word()}</text>
            {move || room.partitions.all().into_iter().take(3).enumerate().map(|(index, (name, signal))| {
                view! { <Slot name signal x=x + 6.0 y=y + 34.0 + 26.0 * index as f64 w=w - 12.0/> }
            }).collect_view()}
        </g>
    }
}

/// A partition in its broker: how much it holds, and who led it when that was written.
#[component]
fn Slot(name: String, signal: ArcRwSignal<Option<Partition>>, x: f64, y: f64, w: f64) -> impl IntoView {
    let is_led = {
        let signal = signal.clone();
        Memo::new(move |_| signal.with(|it| it.as_ref().is_some_and(|it| it.leader.is_some())))
    };
    let end = {
        let signal = signal.clone();
        Memo::new(move |_| signal.with(|it| it.as_ref().map(|it| it.log_end)))
    };
    // Of the newest records, as many as there is place for, the epochs.
    let epochs = Memo::new(move |_| {
        let place = ((w - 118.0) / 6.0) as usize;
        signal.with(|it| {
            let records = it.as_ref().map_or(&[][..], |it| &it.records);
            records[records.len().saturating_sub(place)..].iter().map(|it| it.leader_epoch).collect::<Vec<_>>()
        })
    });
    let cells = move || {
        let epochs = epochs.get();
        let runs = epochs.chunk_by(|a, b| a == b).scan(0, |at, run| {
            let path: String = (*at..*at + run.len())
                .map(|it| format!("M{:.1} {:.1}h5v10h-5z", x + 70.0 + it as f64 * 6.0, y + 5.0))
                .collect();
            *at += run.len();
            Some(view! { <path class=format!("mini e{}", run[0].rem_euclid(4)) d=path/> })
        });
        runs.collect_view()
    };
    view! {
        <rect class="slot" x=x y=y width=w height="20" rx="4"/>
        <use href=move || if is_led.get() { "#g-lead" } else { "#g-off" } x=x + 5.0 y=y + 4.0 width="12" height="12"/>
        <text x=x + 21.0 y=y + 14.0>{name}</text>
        {cells}
        <text class="m r" x=x + w - 7.0 y=y + 14.0>
            {move || end.get().map_or("–".to_owned(), |it| grouped(it.max(0).cast_unsigned()))}
        </text>
    }
}

/// A message between its two ends, as far as its time has passed.
#[component]
fn Envelope(room: Room, message: Message, plan: Memo<Plan>, cast: Memo<Cast>) -> impl IntoView {
    let Message { from, to, what, is_answer, sent_us, arrives_us, .. } = message;
    let way = Memo::new(move |_| {
        let up = seat(&cast.read(), plan.get(), &from).map(|it| it.1);
        // Towards a client the curve is followed from its other end.
        up.or_else(|| seat(&cast.read(), plan.get(), &to).map(|(_, [a, b, c, d])| [d, c, b, a]))
    });
    let at = move || {
        let took = room.time_us.get().saturating_sub(sent_us) as f64;
        let t = (took / (arrives_us - sent_us).max(1) as f64).clamp(0.0, 1.0);
        way.get().map_or(String::from("translate(-99 -99)"), |way| {
            let (x, y) = point(way, t);
            format!("translate({x:.1} {y:.1})")
        })
    };
    let is_close = what == CLOSED;
    let picture = match (is_close, is_answer) {
        (true, _) => "#g-off",
        (false, true) => "#msg-down",
        (false, false) => "#msg-up",
    };
    let name = what.clone();
    let label = move || (room.messages.read().len() <= NAMED).then(|| name.clone());
    view! {
        <g class="msg" transform=at data-what=what>
            <use href=picture class:close=is_close x="-9" y="-6.5" width="18" height="13"/>
            <text class="c" y=if is_answer { "20" } else { "-11" }>{label}</text>
        </g>
    }
}

/// Selects a process when its card is used.
#[derive(Clone)]
struct Picker {
    room: Room,
    name: String,
}

impl Picker {
    fn pick(&self) {
        self.room.selection.set(Selection::Process(self.name.clone()));
    }

    fn click(self) -> impl Fn(leptos::ev::MouseEvent) {
        move |_| self.pick()
    }

    fn key(self) -> impl Fn(leptos::ev::KeyboardEvent) {
        move |event| {
            if event.key() == "Enter" || event.key() == " " {
                event.prevent_default();
                self.pick();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_do_not_overlap_and_stay_inside() {
        for narrow in [false, true] {
            let plan = Plan { narrow };
            let mut places = vec![plan.broker()];
            places.extend((0..3).map(|it| plan.client(Role::Producer, it, 3)));
            places.extend((0..2).map(|it| plan.client(Role::Consumer, it, 2)));
            let (width, height) = plan.size();
            for (index, a) in places.iter().enumerate() {
                assert!(a.x >= 0.0 && a.y >= 0.0 && a.x + a.w <= width && a.y + a.h <= height, "{a:?}");
                for b in &places[..index] {
                    let apart = a.x + a.w <= b.x || b.x + b.w <= a.x || a.y + a.h <= b.y || b.y + b.h <= a.y;
                    assert!(apart, "{a:?} {b:?}");
                }
            }
        }
    }

    #[test]
    fn a_message_begins_and_ends_at_its_link() {
        let link = [(0.0, 0.0), (5.0, 0.0), (5.0, 10.0), (10.0, 10.0)];
        assert_eq!((point(link, 0.0), point(link, 0.5), point(link, 1.0)), ((0.0, 0.0), (5.0, 5.0), (10.0, 10.0)));
    }
}
