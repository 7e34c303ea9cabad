//! What became of the records that producers were told are safe: kept, lost as the settings allow, or lost against a promise.

use super::scene::Scene;
use super::{grouped, rescue};
use crate::draw::{Shape, classed, shape};
use crate::view::{Finding, Verdict};

/// Squares that are drawn at most; beyond it numbers tell.
const SQUARES: u64 = 60;

/// The section.
pub(crate) fn draw(scene: &Scene) -> Shape {
    let acked: u64 = scene.view.clients.iter().map(|it| it.ok).sum();
    let findings = &scene.view.findings;
    let lost = |verdict: Verdict| findings.iter().filter(|it| it.verdict == verdict).map(|it| it.acked).sum::<u64>();
    let (allowed, broken) = (lost(Verdict::Allowed), lost(Verdict::Bug));
    let kept = acked.saturating_sub(allowed + broken);
    let at_risk = scene.view.at_risk.min(kept);
    let kept = kept - at_risk;
    let count = |verdict: Verdict| findings.iter().filter(|it| it.verdict == verdict).count() as u64;
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
    list = list.with([classed("dt", "ok").say(grouped(kept)), shape("dd").say("contract kept: they are in the log")]);
    if at_risk > 0 {
        let words = shape("dd").set("id", "at-risk").say("at risk: nobody has them who could lead now");
        list = list.with([classed("dt", "harm").say(grouped(at_risk)), words]);
    }
    let harm = if allowed > 0 { "harm" } else { "" };
    let words = shape("dd").set("id", "allowed").say("acked and lost, allowed by the settings");
    list = list.with([classed("dt", harm).say(grouped(allowed)), words.with_all(reasons(findings, Verdict::Allowed))]);
    if count(Verdict::Kept) > 0 {
        let words = shape("dd").say("cut away, and nobody was told ok: contract kept");
        list = list.with([shape("dt").say("–"), words.with_all(reasons(findings, Verdict::Kept))]);
    }
    let bugs = count(Verdict::Bug);
    let words = shape("dd").say(if bugs == 1 { "broken promise" } else { "broken promises" });
    list = list.with([
        classed("dt", if bugs > 0 { "harm" } else { "" }).say(grouped(bugs)),
        words.with_all(reasons(findings, Verdict::Bug)),
    ]);
    shapes.push(list);
    shapes.extend(rescue::draw(scene));
    classed("section", "ledger verdict").set("aria-label", "Verdict").with_all(shapes)
}

/// What was found, the newest two of it.
fn reasons(findings: &[Finding], verdict: Verdict) -> Vec<Shape> {
    let found: Vec<_> = findings.iter().enumerate().filter(|it| it.1.verdict == verdict).collect();
    let reason = |(number, it): &(usize, &Finding)| {
        classed("button", "line reason").set("data-do", format!("finding:{number}")).say(it.what.clone())
    };
    found[found.len().saturating_sub(2)..].iter().map(reason).collect()
}
