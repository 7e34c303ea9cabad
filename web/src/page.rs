//! What the page's own scripts may ask of the room: share.js, which shares and exports runs and opens shared ones, and embed.js,
//! for pages that have the lab within them. Both are loaded when they are needed, and no part of the module.

use sim::export::link::{self, Shared};
use sim::export::{rust_test, script, shiviz};
use sim::operations::Which;
use wasm_bindgen::prelude::*;

use crate::engine::{Engine, Opening};
use crate::js;
use crate::room::Room;

/// Events in a log for ShiViz at most: it draws each.
const SHIVIZ: u64 = 2_000;

/// The room, for scripts of the page.
#[wasm_bindgen(skip_typescript)]
pub struct Page {
    room: Room,
    /// A run that is being opened, and the link that it is of.
    opening: Option<(Opening, Option<Shared>)>,
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
        self.opening = Some((Opening::of_link(&shared)?, Some(shared)));
        Ok(())
    }

    /// So many bytes a scenario file may have.
    #[wasm_bindgen(skip_typescript)]
    pub fn longest(&self) -> u32 {
        link::TEXT as u32
    }

    /// Begins to play somebody's scenario file; throws what is wrong with it.
    #[wasm_bindgen(skip_typescript)]
    pub fn take(&mut self, scenario: &str) -> Result<(), JsValue> {
        self.opening = Some((Opening::of_file(scenario)?, None));
        Ok(())
    }

    /// Goes on with what was begun, for so many turns at most: how much of it is over. At 1 it is in the room, a link's at its moment, a
    /// file's beside the run that was open; at 2 a link's run is in its lesson.
    #[wasm_bindgen(skip_typescript, js_name = goOn)]
    pub fn go_on(&mut self, turns: u32) -> Result<f64, JsValue> {
        let Some((opening, shared)) = self.opening.take() else { return Ok(1.0) };
        let mut engine = match opening.go_on(turns)? {
            Opening::Open(engine) => engine,
            opening => {
                let progress = opening.progress();
                self.opening = Some((opening, shared));
                return Ok(progress);
            }
        };
        let Some(shared) = shared else {
            self.room.enter_file(engine);
            return Ok(1.0);
        };
        engine.revisit(&shared);
        Ok(if self.room.enter_run(engine, &shared.looks) { 2.0 } else { 1.0 })
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
