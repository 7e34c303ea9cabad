//! What became of the records that producers were told are safe: kept, lost as the settings allow, or lost against a promise.

use sim::check::Check;

use super::scene::Scene;
use super::{grouped, rescue};
use crate::draw::{Shape, classed, shape, text};
use crate::view::{Finding, Verdict};

/// Squares that are drawn at most; beyond it numbers tell.
const SQUARES: u64 = 60;

/// The section.
pub(crate) fn draw(scene: &Scene) -> Shape {
    let acked: u64 = scene.view.clients.iter().map(|it| it.ok).sum();
    let findings = &scene.view.findings;
    let broken: u64 = findings.iter().filter(|it| it.verdict == Verdict::Bug).map(|it| it.acked).sum();
    let lost = scene.view.acked_lost;
    let allowed = lost.saturating_sub(broken);
    let kept = acked.saturating_sub(lost);
    let at_risk = scene.view.at_risk.min(kept);
    let kept = kept - at_risk;
    let count = |which: Which| findings.iter().filter(|it| which(it)).count() as u64;
    let head = shape("h2").say("Verdict ").with([shape("small").say(format!("{} records told ok", grouped(acked)))]);
    let mut shapes = vec![head];
    if (1..=SQUARES).contains(&acked) {
        let squares = (0..acked).map(|it| {
            classed(
                "i",
                if it < kept {
                    "sq"
                } else if it < kept + at_risk {
                    "sq risk"
                } else if it < kept + at_risk + allowed {
                    "sq lost"
                } else {
                    "sq broken"
                },
            )
            .keyed(it)
        });
        shapes.push(classed("p", "squares").set("aria-hidden", "true").with_all(squares.collect()));
    }
    let mut list = shape("dl");
    let there = if scene.view.has_deleted { "in the log, or deleted from it on purpose" } else { "in the log" };
    let words = shape("dd").say("contract kept: ").with([text(there)]);
    list = list.with([classed("dt", "ok").say(grouped(kept)), words]);
    if at_risk > 0 {
        let words = shape("dd").set("id", "at-risk").say("at risk: nobody has them who could lead now");
        list = list.with([classed("dt", "harm").say(grouped(at_risk)), words]);
    }
    let harm = if allowed > 0 { "harm" } else { "" };
    let words = shape("dd").set("id", "allowed").say("acked and lost, allowed by the settings");
    let is_repeat = |it: &Finding| it.check == Check::Idempotence.name();
    let lost = |it: &Finding| it.verdict == Verdict::Allowed && !is_repeat(it);
    list = list.with([classed("dt", harm).say(grouped(allowed)), words.with_all(reasons(findings, &lost))]);
    let repeats = |it: &Finding| it.verdict == Verdict::Allowed && is_repeat(it);
    let odd = count(&repeats);
    if odd > 0 {
        let words = shape("dd").say("twice or out of order, allowed by the settings");
        list = list.with([classed("dt", "harm").say(grouped(odd)), words.with_all(reasons(findings, &repeats))]);
    }
    let cut = |it: &Finding| it.verdict == Verdict::Kept;
    if count(&cut) > 0 {
        let words = shape("dd").say("gone, and nobody was told ok: contract kept");
        list = list.with([shape("dt").say("–"), words.with_all(reasons(findings, &cut))]);
    }
    let bug = |it: &Finding| it.verdict == Verdict::Bug;
    let bugs = count(&bug);
    let words = shape("dd").say(if bugs == 1 { "broken promise" } else { "broken promises" });
    let words = words
        .with_all((scene.view.is_of_past && bugs > 0).then(|| text(": a fault of the past")).into_iter().collect());
    list = list.with([
        classed("dt", if bugs > 0 { "harm" } else { "" }).say(grouped(bugs)),
        words.with_all(reasons(findings, &bug)),
    ]);
    shapes.push(list);
    shapes.extend(rescue::draw(scene));
    classed("section", "ledger verdict").set("aria-label", "Verdict").with_all(shapes)
}

/// Some of what was found.
type Which<'a> = &'a dyn Fn(&Finding) -> bool;

/// What was found of a kind, the newest two of it.
fn reasons(findings: &[Finding], which: Which) -> Vec<Shape> {
    let found: Vec<_> = findings.iter().enumerate().filter(|it| which(it.1)).collect();
    let reason = |(number, it): &(usize, &Finding)| {
        classed("button", "line reason").set("data-do", format!("finding:{number}")).say(it.what.clone())
    };
    found[found.len().saturating_sub(2)..].iter().map(reason).collect()
}
