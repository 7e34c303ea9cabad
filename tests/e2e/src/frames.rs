//! What a page's main thread works between two frames, read from a trace: the time that it had a processor, so that what
//! else runs on the machine is not counted as its work.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::Browser;

/// The work of each frame in ms, least first.
#[derive(Clone, Debug)]
pub struct Frames(Vec<f64>);

impl Frames {
    /// Of the page's own thread, which says `console.timeStamp("begin")` and `("end")`, and between these: the tasks from one that fires
    /// an animation frame up to the next such. (Workers have animation frames, too.)
    pub fn of(trace: &[Value]) -> Result<Frames> {
        let stamp = |word: &str| {
            let found = trace.iter().find(|it| it["name"] == "TimeStamp" && it["args"]["data"]["message"] == word);
            found.with_context(|| format!("no time stamp `{word}` in the trace"))
        };
        let begins = |it: &&Value| it["name"] == "FireAnimationFrame";
        let thread = |it: &Value| (it["pid"].as_i64(), it["tid"].as_i64());
        let at = |it: &Value| it["ts"].as_f64().unwrap_or_default();
        let (begin, end) = (stamp("begin")?, stamp("end")?);
        let (main, begin, end) = (thread(begin), at(begin), at(end));
        let of_main = || trace.iter().filter(|it| thread(it) == main && (begin..end).contains(&at(it)));
        let mut fired: Vec<f64> = of_main().filter(begins).map(at).collect();
        let mut tasks: Vec<&Value> = of_main().filter(|it| it["name"] == "RunTask").collect();
        fired.sort_by(f64::total_cmp);
        tasks.sort_by(|a, b| at(a).total_cmp(&at(b)));
        let number = |it: &Value| it.as_f64().unwrap_or_default();
        let mut work = Vec::new();
        let mut frame: Option<f64> = None;
        for task in tasks {
            let (begin, end) = (at(task), at(task) + number(&task["dur"]));
            let first = fired.partition_point(|it| *it < begin);
            if fired.get(first).is_some_and(|it| *it <= end) {
                work.extend(frame);
                frame = Some(0.0);
            }
            if let Some(sum) = &mut frame {
                *sum += number(&task["tdur"]) / 1_000.0;
            }
        }
        work.extend(frame);
        ensure!(!work.is_empty(), "no animation frame of the page in the trace");
        work.sort_by(f64::total_cmp);
        Ok(Frames(work))
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// What so many of a thousand frames stay below, in ms.
    pub fn permille(&self, of_thousand: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get((self.0.len() * of_thousand / 1_000).min(last)).copied().unwrap_or(f64::NAN)
    }
}

/// What was played, and how long its frames took.
pub struct Played {
    /// Records that were written meanwhile.
    pub records: u64,
    /// Messages on their way when it was over.
    pub moving: u64,
    /// The work of its frames.
    pub frames: Frames,
}

/// Plays a thousand records a second in the first room for so long, in a browser that is traced.
pub fn play_fast(browser: &Browser, seconds: u32) -> Result<Played> {
    play(browser, seconds, FAST)
}

/// The same with twelve partitions more, and a producer whose thousand records a second are each on their way for a tenth of a
/// second, as is the answer: two hundred messages move.
pub fn play_crowded(browser: &Browser, seconds: u32) -> Result<Played> {
    play(browser, seconds, CROWDED)
}

fn play(browser: &Browser, seconds: u32, room: &str) -> Result<Played> {
    browser.open("#three")?;
    browser.until("document.querySelector('#engine')")?;
    let played = browser.run(&PLAY.replace("ROOM", room).replace("SECONDS", &seconds.to_string()))?;
    let trace = browser.trace()?;
    keep(&trace)?;
    browser.quiet()?;
    let number = |index: usize| played[index].as_u64().with_context(|| format!("numbers in {played}"));
    Ok(Played { records: number(0)?, moving: number(1)?, frames: Frames::of(&trace)? })
}

/// Keeps the trace among the artifacts, as chrome://tracing and ui.perfetto.dev read it.
fn keep(trace: &[Value]) -> Result<()> {
    let folder = PathBuf::from(std::env::var("VIVARIUM_ARTIFACTS").context("VIVARIUM_ARTIFACTS is not set")?);
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("frames.json");
    std::fs::write(&file, json!({ "traceEvents": trace }).to_string())
        .with_context(|| format!("write {}", file.display()))
}

const FAST: &str = "choose('rate', '1,000 records/s', 'change');";

const CROWDED: &str = r"
    act('topic wide partitions=12 replication=3');
    act('producer p4 acks=1 linger.ms=0 batch.size=1 enable.idempotence=false max.in.flight.requests.per.connection=200');
    for (const broker of ['b1', 'b2', 'b3']) act(`delay p4 ${broker} 100ms`);
    act('load p4 wide every=1ms keys=60 size=0');
    act('run 2s');
    const press = async (deed) => {
        const button = () => [...document.querySelectorAll('button')].find((it) => it.dataset.do === deed);
        for (const begun = performance.now(); !button() && performance.now() - begun < 10000;) await new Promise(requestAnimationFrame);
        if (!button()) throw new Error(`nothing does ${deed}`);
        button().click();
    };
    await press('partition:wide-0');
    await press('choose:wide-0');
";

/// The first second is not measured: the browser compiles what it has not seen.
const PLAY: &str = r"
    const choose = (id, value, kind) => { const it = document.getElementById(id); it.value = value; it.dispatchEvent(new Event(kind, { bubbles: true })); };
    const act = (line) => { const it = document.getElementById('line'); it.value = line; it.form.requestSubmit(); if (it.value) throw new Error(`${line}: ${document.getElementById('say').innerText}`); };
    ROOM
    choose('speed', '0', 'input');
    const ends = () => [...document.querySelectorAll('#parts td:last-child')].reduce((sum, it) => sum + Number(it.textContent.replace(/\D/g, '')), 0);
    document.getElementById('play').click();
    await new Promise((done) => setTimeout(done, 1000));
    const before = ends();
    console.timeStamp('begin');
    await new Promise((done) => setTimeout(done, SECONDS * 1000));
    console.timeStamp('end');
    // What stopping costs is not of this frame.
    await new Promise(requestAnimationFrame);
    document.getElementById('play').click();
    const more = [...document.querySelectorAll('#stage text')].map((it) => it.textContent.match(/^(.*) more on their way/)?.[1].replace(/\D/g, '') ?? 0);
    return [ends() - before, document.querySelectorAll('#stage .msg').length + more.reduce((sum, it) => sum + Number(it), 0)];
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_its_task_and_those_after_it() {
        let event = |name: &str, tid: i64, ts: i64, dur: i64| json!({ "name": name, "pid": 1, "tid": tid, "ts": ts, "dur": dur * 2, "tdur": dur });
        let stamp = |word: &str, ts: i64| json!({ "name": "TimeStamp", "pid": 1, "tid": 1, "ts": ts, "args": { "data": { "message": word } } });
        let trace = [
            stamp("begin", 0),
            stamp("end", 40_000),
            event("RunTask", 1, 1, 4_000),
            event("RunTask", 1, 10_000, 4_000),
            event("FireAnimationFrame", 1, 11_000, 2_000),
            event("RunTask", 1, 19_000, 500),
            event("RunTask", 2, 19_000, 8_000),
            event("FireAnimationFrame", 1, 27_000, 1_000),
            event("RunTask", 1, 26_000, 3_000),
            event("RunTask", 1, 50_000, 3_000),
            event("FireAnimationFrame", 2, 20_000, 1_000),
        ];
        let frames = Frames::of(&trace).unwrap();
        assert_eq!((frames.count(), frames.permille(0), frames.permille(1_000)), (2, 3.0, 4.5));
        assert!(Frames::of(&trace[1..]).is_err());
    }
}
