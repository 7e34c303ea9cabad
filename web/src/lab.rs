//! The engine for scripts: `import init, { Lab } from "./vivarium.js"`.

use sim::operations::Which;
use sim::script::Scenario;
use wasm_bindgen::prelude::*;

use crate::engine::{Engine, ROOM};
use crate::js;

/// A run of a simulated cluster, its branches, and the moment that is looked at.
#[wasm_bindgen]
pub struct Lab {
    engine: Engine,
}

#[wasm_bindgen]
impl Lab {
    /// Plays a scenario (docs/api.md has the language) and stands at its end. A number, "1" to "7", is the page's own room with
    /// so many brokers; without anything it has three.
    /// Throws a string that names line, column and what was expected.
    #[wasm_bindgen(constructor)]
    pub fn new(scenario: Option<String>) -> Result<Lab, JsValue> {
        Ok(Lab { engine: Engine::new(scenario.as_deref().unwrap_or(ROOM))? })
    }

    /// One event on. False if nothing will ever happen by itself.
    pub fn step(&mut self) -> bool {
        self.engine.step()
    }

    /// One event back. False at the beginning.
    pub fn back(&mut self) -> bool {
        self.engine.back()
    }

    /// Lets virtual time pass up to a moment, in µs. Throws a string if the page has no memory for so much.
    #[wasm_bindgen(js_name = runUntil)]
    pub fn run_until(&mut self, time_us: f64) -> Result<(), JsValue> {
        self.engine.run_until(micros(time_us)).map_err(JsValue::from)
    }

    /// To the moment after so many events of this branch, or to its last.
    pub fn seek(&mut self, event: f64) {
        self.engine.seek(micros(event));
    }

    /// Does what a line says, now. In the past that makes a branch; both futures are kept. Throws a string if it can't be done, or the
    /// cluster refuses it.
    pub fn act(&mut self, line: &str) -> Result<(), JsValue> {
        self.engine.act_and_hear(line).map_err(JsValue::from)
    }

    /// Looks at another branch (an index into `view().branches`), at its furthest moment. False if there is none.
    pub fn branch(&mut self, index: usize) -> bool {
        self.engine.switch(index)
    }

    /// The moment as plain objects.
    #[wasm_bindgen(unchecked_return_type = "View")]
    pub fn view(&mut self) -> JsValue {
        let ledger = js::ledger(self.engine.history().world(), Which::All, u64::MAX);
        js::view(&self.engine.view(), ledger)
    }

    /// What clients asked for before an event (all of it without one), the newest first, at most 64: `all`, or those that are `failed`,
    /// `unknown`, `lost` or `twice`. Throws a string at any other word.
    #[wasm_bindgen(unchecked_return_type = "Ledger")]
    pub fn ledger(&self, which: &str, before: Option<f64>) -> Result<JsValue, JsValue> {
        let found = Which::ALL.into_iter().find(|it| it.word() == which);
        let found = found.ok_or_else(|| format!("no such kind: {which}; all, failed, unknown, lost or twice"))?;
        Ok(js::ledger(self.engine.history().world(), found, before.map_or(u64::MAX, micros)))
    }

    /// The records of a partition, such as "orders-0", from an offset up to another, which is exclusive.
    #[wasm_bindgen(unchecked_return_type = "LogRecord[]")]
    pub fn records(&mut self, partition: &str, from: f64, to: f64) -> JsValue {
        js::records(&self.engine.records(partition, from as i64, to as i64))
    }

    /// This branch up to this moment as a scenario, which `new Lab(…)` plays again to the same hash.
    pub fn export(&self) -> String {
        self.engine.export()
    }
}

/// The load of `vivarium sim bench`, for `cargo xtask bench wasm`: events and hash at its end. Whoever calls it has the clock.
#[wasm_bindgen(skip_typescript)]
pub fn bench(seed: f64, events: f64) -> Result<String, JsValue> {
    let played = Scenario::bench(micros(seed), micros(events)).play_with(false).map_err(|it| it.to_string())?;
    let world = played.history.world();
    Ok(format!("{} {:016x}", world.events(), world.hash()))
}

/// A number of JavaScript as a whole one: negative ones and NaN are 0.
fn micros(number: f64) -> u64 {
    number as u64
}
