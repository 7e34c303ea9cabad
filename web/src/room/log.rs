//! The partitions as logs. A row is a partition on its own axis of absolute offsets: cells are records, rules are ends
//! (exclusive), pointers are consumers' positions. Only the offsets in sight are drawn.

use leptos::ev::{KeyboardEvent, MouseEvent};
use leptos::html::Div;
use leptos::prelude::*;
use leptos::web_sys::Element;
use wasm_bindgen::JsCast;

use super::state::{Room, Selection};
use super::{glyph, grouped};
use crate::view::{Partition, Record, Role};

/// A consumer's position in a row: the consumer, its number among consumers, the offset.
type Pointer = (String, usize, i64);

#[component]
pub(crate) fn Log(room: Room) -> impl IntoView {
    let columns = RwSignal::new(12);
    let log = NodeRef::<Div>::new();
    let measure = move || {
        if let Some(log) = log.get_untracked() {
            let count = columns_of(&log);
            if columns.get_untracked() != count {
                columns.set(count);
            }
        }
    };
    Effect::new(move |_| {
        log.track();
        room.narrow.track();
        measure();
    });
    let _ = window_event_listener(leptos::ev::resize, move |_| measure());
    let leader = move || {
        let partitions = room.partitions.things();
        match partitions.first() {
            Some(it) => format!(
                "{} · leader {} · epoch {}",
                partitions.len(),
                it.leader.as_deref().unwrap_or("–"),
                it.leader_epoch
            ),
            None => "not created yet".to_owned(),
        }
    };
    view! {
        <div class="log" node_ref=log>
            <div class="head">
                <h2>"orders "<small>"partitions "{leader}</small></h2>
                <div class="legend"><span class="opt">"ends are exclusive"</span></div>
            </div>
            <div class="rows">
                <For each=move || room.partitions.all() key=|it| it.0.clone() children=move |(name, signal)| view! { <Row room name signal columns/> }/>
            </div>
        </div>
    }
}

/// How many cells fit beside the label. The sizes are the style sheet's.
fn columns_of(log: &Element) -> i64 {
    let style = window().get_computed_style(log).ok().flatten();
    let pixels = |name: &str| {
        let text = style.as_ref()?.get_property_value(name).ok()?;
        text.trim().strip_suffix("px")?.parse::<f64>().ok()
    };
    let (label, cell) = (pixels("--label").unwrap_or(112.0), pixels("--cell").unwrap_or(42.0));
    (((f64::from(log.client_width()) - label) / cell) as i64).clamp(4, 64)
}

#[component]
fn Row(room: Room, name: String, signal: ArcRwSignal<Option<Partition>>, columns: RwSignal<i64>) -> impl IntoView {
    let partition = Memo::new(move |_| signal.get().unwrap_or_default());
    // Where a person has scrolled to; otherwise the end is followed.
    let held = RwSignal::new(None::<i64>);
    let first = Memo::new(move |_| {
        let (start, end) = partition.with(|it| (it.log_start, it.log_end));
        // One column stays free for what comes next.
        let follow = (end + 1 - columns.get()).max(0);
        held.get().map_or(follow, |it| it.clamp(start.min(follow), follow))
    });
    let cells = Memo::new(move |_| {
        let (from, to) = (first.get(), first.get() + columns.get());
        partition.with(|it| it.records.iter().filter(|it| (from..to).contains(&it.offset)).cloned().collect::<Vec<_>>())
    });
    let place = move |offset: i64| {
        let at = offset - first.get();
        (0..=columns.get()).contains(&at).then_some(at)
    };
    let pointers = {
        let name = name.clone();
        Memo::new(move |_| {
            let consumers = room.clients.things().into_iter().filter(|it| it.role == Role::Consumer);
            let pointer = |(index, client): (usize, crate::view::Client)| {
                let position = client.positions.into_iter().find(|it| it.partition == name)?;
                Some((client.name, index, position.offset?))
            };
            consumers.enumerate().filter_map(pointer).collect::<Vec<Pointer>>()
        })
    };
    let number = name.rsplit('-').next().unwrap_or_default().to_owned();
    let scroll = move |by: i64| {
        let to = first.get_untracked() + by;
        let (end, columns) = (partition.with_untracked(|it| it.log_end), columns.get_untracked());
        held.set((to + columns <= end).then_some(to));
    };
    let click = {
        let name = name.clone();
        move |event: MouseEvent| {
            if let Some(offset) = offset_under(&event) {
                room.selection.set(Selection::Record(name.clone(), offset));
            }
        }
    };
    let key = {
        let name = name.clone();
        move |event: KeyboardEvent| {
            let chosen = match room.selection.get_untracked() {
                Selection::Record(row, offset) if row == name => Some(offset),
                _ => None,
            };
            let (start, end) = partition.with_untracked(|it| (it.log_start, it.log_end));
            let choose = |offset: i64| {
                let offset = offset.clamp(start, (end - 1).max(start));
                room.selection.set(Selection::Record(name.clone(), offset));
                let from = first.get_untracked();
                if offset < from {
                    scroll(offset - from);
                } else if offset >= from + columns.get_untracked() {
                    scroll(offset + 1 - columns.get_untracked() - from);
                }
            };
            match event.key().as_str() {
                "ArrowLeft" => choose(chosen.map_or(end - 1, |it| it - 1)),
                "ArrowRight" => choose(chosen.map_or(first.get_untracked(), |it| it + 1)),
                "PageUp" => scroll(-columns.get_untracked()),
                "PageDown" => scroll(columns.get_untracked()),
                _ => return,
            }
            event.prevent_default();
        }
    };
    let told = {
        let name = name.clone();
        move || {
            let positions: String = pointers.get().iter().map(|(who, _, at)| format!(", {who} at {at}")).collect();
            partition.with(|it| {
                format!(
                    "{name}: log start {}, high watermark {}, log end {}{positions}",
                    it.log_start, it.high_watermark, it.log_end
                )
            })
        }
    };
    let row = name.clone();
    view! {
        <div class="row" data-partition=name.clone() class:ghost=move || partition.with(|it| it.leader.is_none())>
            <div class="who">
                <b>{number}</b>{move || glyph(if partition.with(|it| it.leader.is_some()) { "g-lead" } else { "g-off" })}
                <small class="opt">{move || partition.with(|it| match &it.leader { Some(name) => format!("led by {name}"), None => "no leader".to_owned() })}</small>
                <span class="scroll">
                    <button aria-label="Earlier records" title="Earlier records (Page Up)" disabled=move || first.get() <= partition.with(|it| it.log_start) on:click=move |_| scroll(-columns.get_untracked())>"‹"</button>
                    <button aria-label="Later records" title="Later records (Page Down)" disabled=move || held.get().is_none() on:click=move |_| scroll(columns.get_untracked())>"›"</button>
                </span>
            </div>
            <div class="axis" tabindex="0" role="group" aria-label=told on:click=click on:keydown=key>
                <For each=move || cells.get() key=|it| (it.offset, it.leader_epoch, it.key.clone())
                    children=move |record| view! { <Cell room row=row.clone() record first/> }/>
                {move || place(partition.with(|it| it.log_start)).map(|at| view! { <i class="rule ls" style=("--at", at.to_string())><span>"log start "{partition.with(|it| it.log_start)}</span></i> })}
                {move || place(partition.with(|it| it.log_end)).map(|at| view! { <i class="rule le" style=("--at", at.to_string())><span><span class="opt">"log "</span>"end "{grouped(partition.with(|it| it.log_end).max(0).cast_unsigned())}</span></i> })}
                {move || place(partition.with(|it| it.high_watermark)).map(|at| view! { <i class="rule hw" style=("--at", at.to_string())><span><span class="opt">"high watermark "</span><span class="phone">"HW "</span>{grouped(partition.with(|it| it.high_watermark).max(0).cast_unsigned())}</span></i> })}
                {move || pointers.get().into_iter().filter_map(|(who, index, offset)| place(offset).map(|at| view! {
                    <i class="ptr" class:second=index % 2 == 1 style=("--at", at.to_string())><span>{who}" "<b>{grouped(offset.max(0).cast_unsigned())}</b></span></i>
                })).collect_view()}
            </div>
        </div>
    }
}

/// A record in its place.
#[component]
fn Cell(room: Room, row: String, record: Record, first: Memo<i64>) -> impl IntoView {
    let offset = record.offset;
    let place = Selection::Record(row, offset);
    let selected = move || *room.selection.read() == place;
    let at = move || (offset - first.get()).to_string();
    let key = record.key.unwrap_or_else(|| "–".to_owned());
    view! {
        <i class=format!("rec e{}", record.leader_epoch.rem_euclid(4)) class:on=selected style=("--at", at) data-offset=offset>
            <b class="off">{offset}</b>
            <span>{key}</span>
            <small>"e"{record.leader_epoch}</small>
        </i>
    }
}

fn offset_under(event: &MouseEvent) -> Option<i64> {
    let target = event.target()?.dyn_into::<Element>().ok()?;
    let cell = target.closest("[data-offset]").ok()??;
    cell.get_attribute("data-offset")?.parse().ok()
}
