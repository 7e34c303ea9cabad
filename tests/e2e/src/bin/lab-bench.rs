//! The lab's figures in a real Chromium; `cargo xtask bench lab wasm` serves the page and calls this.
//!
//! `lab-bench frames`: main-thread work a frame while a thousand records a second play; `lab-bench crowded`: the same among twelve
//! partitions more, with two hundred messages on their way. `lab-bench travel EVENTS`: to another moment of a run of so many, and its
//! memory. `lab-bench start`: how soon the page is there. `lab-bench engine SEED EVENTS`: the engine alone, in the page's own module. `lab-bench clock`: how much faster than the clock three brokers run there that have
//! ten records a second and one consumer.

use anyhow::{Result, bail, ensure};
use e2e::{Browser, Frames, play_crowded, play_fast, start, travel};

/// What `vivarium sim bench --brokers 3` plays an hour of.
const QUIET: &str = "seed 1
broker b1
broker b2
broker b3
run until serving b1
run until serving b2
run until serving b3
topic orders
consumer c1 auto.offset.reset=earliest
follow c1 orders
producer p1
load p1 orders every=100ms keys=16 size=100
";
/// How many minutes of it in the page.
const MINUTES: f64 = 10.0;
/// How long a room is played whose frames are looked at.
const SECONDS: u32 = 8;
/// A line that pages are to be used over: Mbit/s, and ms.
const LINE: (f64, f64) = (20.0, 40.0);

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["frames"] => {
            let played = play_fast(&Browser::start_traced()?, SECONDS)?;
            println!("{} records in {SECONDS} s, {}", played.records, words(&played.frames));
        }
        ["crowded"] => {
            let played = play_crowded(&Browser::start_traced()?, SECONDS)?;
            println!(
                "{} records in {SECONDS} s, {} messages on their way, {}",
                played.records,
                played.moving,
                words(&played.frames)
            );
        }
        ["travel", events] => {
            let it = travel(&Browser::start_new()?, events.parse()?)?;
            println!(
                "{} events: to one of 100 moments {:.1} ms, at most {:.1}; a branch {:.1} ms, at most {:.1}; {:.0} MB",
                it.events, it.seek[0], it.seek[1], it.branch[0], it.branch[1], it.megabytes
            );
        }
        ["start"] => {
            for (line, words) in [(None, "this machine"), (Some(LINE), "20 Mbit/s and 40 ms away")] {
                let mut starts = [start(line)?, start(line)?, start(line)?];
                starts.sort_by(|a, b| a.ready.total_cmp(&b.ready));
                let it = starts[1];
                println!(
                    "{words}: painted after {:.0} ms, {:.0} KB, in use after {:.0} ms",
                    it.painted,
                    it.bytes / 1_000.0,
                    it.ready
                );
            }
        }
        ["engine", seed, events] => {
            let (seed, events): (u64, u64) = (seed.parse()?, events.parse()?);
            let browser = Browser::start_new()?;
            browser.open("api.html")?;
            browser.until("document.querySelector('#out').innerText.includes('events')")?;
            let script = format!(
                "const it = await import('./vivarium.js'); await it.default(); const begun = performance.now();                  const said = it.bench({seed}, {events}); return [said, performance.now() - begun]"
            );
            let measured = browser.run(&script)?;
            browser.quiet()?;
            let (said, ms) = (measured[0].as_str().unwrap_or_default(), measured[1].as_f64().unwrap_or(f64::NAN));
            let Some((count, hash)) = said.split_once(' ') else { bail!("the page said {measured}") };
            let count: f64 = count.parse()?;
            ensure!(ms > 0.0, "the page's clock stood still");
            println!("{count} events in {:.2} s: {:.0} events/s, hash {hash}", ms / 1_000.0, count / ms * 1_000.0);
        }
        ["clock"] => {
            let browser = Browser::start_new()?;
            browser.open("api.html")?;
            browser.until("document.querySelector('#out').innerText.includes('events')")?;
            let script = format!(
                "const it = await import('./vivarium.js'); await it.default(); const lab = new it.Lab({QUIET:?}); \
                 const {{ event, timeUs }} = lab.view(), begun = performance.now(); lab.runUntil(timeUs + {MINUTES} * 60e6); \
                 return [lab.view().event - event, performance.now() - begun]"
            );
            let measured = browser.run(&script)?;
            browser.quiet()?;
            let (events, ms) = (measured[0].as_f64().unwrap_or(0.0), measured[1].as_f64().unwrap_or(f64::NAN));
            ensure!(events > 0.0 && ms > 0.0, "the page said {measured}");
            println!(
                "{MINUTES} minutes of three brokers in {:.2} s: {:.0} times faster than the clock, {:.0} events/s",
                ms / 1_000.0,
                MINUTES * 60_000.0 / ms,
                events / ms * 1_000.0
            );
        }
        _ => bail!("usage: lab-bench frames | crowded | travel EVENTS | start | engine SEED EVENTS | clock"),
    }
    Ok(())
}

fn words(frames: &Frames) -> String {
    let [median, p90, p99, worst] = [500, 900, 990, 1_000].map(|it| frames.permille(it));
    format!(
        "{} frames; main-thread work a frame: median {median:.1} ms, p90 {p90:.1}, p99 {p99:.1}, worst {worst:.1}",
        frames.count()
    )
}
