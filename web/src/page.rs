//! What the page's own scripts may ask of the room: share.js, which shares and exports runs and opens shared ones, and embed.js,
//! for pages that have the lab within them. Both are loaded when they are needed, and no part of the module.

use sim::export::link::{self, Shared};
use sim::export::{rust_test, script, shiviz};
use sim::operations::Which;
use wasm_bindgen::prelude::*;

use crate::engine::Engine;
use crate::js;
use crate::room::Room;

/// Events in a log for ShiViz at most: it draws each.
const SHIVIZ: u64 = 2_000;

/// The room, for scripts of the page.
#[wasm_bindgen(skip_typescript)]
pub struct Page {
    room: Room,
    /// A shared run, as far as it is played.
    opening: Option<(Engine, Shared)>,
}

impl Page {
    pub(crate) fn new(room: Room) -> Page {
        Page { room, opening: None }
    }
}

#[wasm_bindgen]
impl Page {
    /// The run up to this moment in another spelling: `scenario`, `rust`, `script`, `shiviz`, or as a `link`, which has its future too.
    #[wasm_bindgen(skip_typescript)]
    pub fn text(&self, spelling: &str) -> Result<String, JsValue> {
        let looks = self.room.looks();
        self.room.run(|engine| match spelling {
            "link" => Shared::of(engine.history(), looks).link().map_err(|it| it.to_string().into()),
            "rust" => Ok(rust_test(engine.history())),
            "script" => Ok(script(engine.history())),
            "shiviz" => Ok(shiviz(engine.history(), SHIVIZ)),
            _ => Ok(engine.export()),
        })
    }

    /// The text of a link; throws what is wrong with it.
    #[wasm_bindgen(skip_typescript)]
    pub fn read(&self, link: &str) -> Result<String, JsValue> {
        link::text_of(link).map_err(JsValue::from)
    }

    /// Begins to play a link's text; throws what is wrong with it.
    #[wasm_bindgen(skip_typescript)]
    pub fn open(&mut self, text: &str) -> Result<(), JsValue> {
        let shared = Shared::parse(text)?;
        self.opening = Some((Engine::of(&shared)?, shared));
        Ok(())
    }

    /// Plays so many events more: how much of it is played. At 1 it is in the room, at its moment; at 2 that is a lesson.
    #[wasm_bindgen(skip_typescript, js_name = goOn)]
    pub fn go_on(&mut self, events: u32) -> Result<f64, JsValue> {
        let Some((engine, shared)) = &mut self.opening else { return Ok(1.0) };
        for _ in 0..events {
            let is_over = engine.history().world().events() >= shared.events || !engine.step();
            if let Err(what) = link::fits(engine.history().world()) {
                self.opening = None;
                return Err(what.into());
            }
            if let Some(refused) = engine.history().refused() {
                let what = format!("after {} events {refused}", engine.history().world().events());
                self.opening = None;
                return Err(what.into());
            }
            if is_over {
                if let Some((mut engine, shared)) = self.opening.take() {
                    engine.revisit(&shared);
                    let is_lesson = self.room.enter_run(engine, &shared.looks);
                    return Ok(if is_lesson { 2.0 } else { 1.0 });
                }
                return Ok(1.0);
            }
        }
        // Not yet all of it, whatever a division says.
        Ok((engine.history().world().events() as f64 / shared.events as f64).min(0.99))
    }

    /// Plays no more of it.
    #[wasm_bindgen(skip_typescript, js_name = giveUp)]
    pub fn give_up(&mut self) {
        self.opening = None;
    }

    /// Plays a scenario in the room; throws what is wrong with it.
    #[wasm_bindgen(skip_typescript)]
    pub fn enter(&self, scenario: &str) -> Result<(), JsValue> {
        self.room.enter_run(Engine::new(scenario)?, &[]);
        Ok(())
    }

    /// Plays somebody's scenario file beside the run that is open; throws what is wrong with it.
    #[wasm_bindgen(skip_typescript)]
    pub fn take(&self, scenario: &str) -> Result<(), JsValue> {
        self.room.enter_file(Engine::of_file(scenario)?);
        Ok(())
    }

    /// To the run that was open before a file's, or back to that.
    #[wasm_bindgen(skip_typescript, js_name = otherRun)]
    pub fn other_run(&self) {
        self.room.other_run();
    }

    /// Does what a line says. False if it was not done; the room says why.
    #[wasm_bindgen(skip_typescript)]
    pub fn act(&self, line: &str) -> bool {
        self.room.act(line)
    }

    /// To the moment after so many events.
    #[wasm_bindgen(skip_typescript)]
    pub fn seek(&self, event: f64) {
        self.room.seek(event as u64);
    }

    /// Lets time pass.
    #[wasm_bindgen(skip_typescript)]
    pub fn play(&self) {
        if self.room.with(|it| it.is_still()) {
            self.room.toggle();
        }
    }

    /// Stands still.
    #[wasm_bindgen(skip_typescript)]
    pub fn pause(&self) {
        self.room.stop();
    }

    /// The moment in a few words; see vivarium-lab.d.ts.
    #[wasm_bindgen(skip_typescript)]
    pub fn moment(&self) -> JsValue {
        self.room.catch_up();
        self.room.with(|it| js::moment(&it.view, it.is_still()))
    }

    /// The moment in full, as `Lab.view()` has it.
    #[wasm_bindgen(skip_typescript)]
    pub fn view(&self) -> JsValue {
        self.room.catch_up();
        let ledger = self.room.run(|engine| js::ledger(engine.history().world(), Which::All, u64::MAX));
        self.room.with(|it| js::view(&it.view, ledger))
    }
}
