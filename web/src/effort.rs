//! What an action costs, counted in bytes that are allocated: time is another on each machine.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use crate::engine::Engine;
use crate::room::left::Left;

struct Counting;

thread_local! {
    /// Each test has a thread of its own.
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    static FREED: Cell<usize> = const { Cell::new(0) };
}

/// The bytes that this thread has at the moment.
pub(crate) fn held() -> usize {
    ALLOCATED.get().saturating_sub(FREED.get())
}

// The system's allocator does the work, so its promises hold.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that ends allocates after its variables are gone.
        let _ = ALLOCATED.try_with(|it| it.set(it.get() + layout.size()));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = FREED.try_with(|it| it.set(it.get() + layout.size()));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A record by hand, as the room sends it: what leads to it is left on the page before and after, and it is looked at.
fn send(engine: &mut Engine, left: &mut Left, number: usize) -> usize {
    let before = ALLOCATED.get();
    left.news(engine);
    engine.act(&format!("produce p1 orders key=k{} value={number:04}", number % 7)).unwrap();
    left.follow(engine);
    left.news(engine);
    ALLOCATED.get() - before
}

/// The least of a few: now and then a list finds that it has to be longer, and moves.
fn least(costs: impl Iterator<Item = usize>) -> usize {
    costs.min().unwrap()
}

#[test]
fn the_five_thousandth_action_costs_what_the_first_ones_do() {
    let mut engine = Engine::new("1").unwrap();
    let mut left = Left::default();
    let look = |engine: &mut Engine| {
        // What was looked at once is at hand.
        engine.view();
        let before = ALLOCATED.get();
        engine.view();
        ALLOCATED.get() - before
    };
    let mut costs = Vec::new();
    for begin in [0, 2_500] {
        let first = least((begin..begin + 8).map(|it| send(&mut engine, &mut left, it)));
        costs.push((first, look(&mut engine)));
        (begin + 8..begin + 2_500).for_each(|it| {
            send(&mut engine, &mut left, it);
        });
    }
    let last = least((5_000..5_008).map(|it| send(&mut engine, &mut left, it)));
    costs.push((last, look(&mut engine)));
    // Numbers have more digits by then, and so have their words.
    let few = |cost: usize| cost + cost / 4;
    assert!(costs.iter().all(|it| it.0 <= few(costs[0].0) && it.1 <= few(costs[0].1)), "{costs:?}");
}
