//! explain: what `run` would do with a bundle, and what stands in its way, for people or as JSON.
//!
//! Runs in the runtime's process and only reads: the plan is made as for `create`, and printed in place of being done.

mod cgroup;
mod document;
mod mounts;
mod program;
mod text;
mod units;
mod world;

use super::check::{self, Finding, Judgement, Outcome, Runs, Severity, Whose};
use crate::error::{Context, Result};
use crate::plan::World;
use crate::plan::cgroup::Driver;
use document::{Document, Section};
use serde_json::{Value, json};
use std::path::Path;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum View {
    Text,
    Json,
}

/// The whole text. Fails when there is no plan: then the one reason is the error.
pub fn explain(bundle: &Path, driver: Driver, view: View) -> Result<String> {
    match check::judge(bundle, driver)? {
        Outcome::Invalid { error, .. } => Err(error),
        Outcome::Planned(judgement) => show(&judgement, view),
    }
}

fn show(judgement: &Judgement, view: View) -> Result<String> {
    let document = document(judgement);
    if view == View::Text {
        return Ok(beginning(judgement).to_owned() + &text::render(&document) + &ending(judgement));
    }
    let mut all = document.to_json();
    let (warnings, errors): (Vec<&Finding>, Vec<&Finding>) =
        judgement.findings.iter().partition(|finding| finding.severity == Severity::Warning);
    let planned_for = if judgement.whose == Whose::Root { "root" } else { "caller" };
    all.insert("plannedFor".into(), planned_for.into());
    all.insert("warnings".into(), warnings.into_iter().map(Finding::to_json).collect());
    all.insert("errors".into(), errors.into_iter().map(Finding::to_json).collect());
    let can = judgement.runs();
    all.insert("runs".into(), json!({"caller": can == Runs::Now, "root": can != Runs::Never}));
    Ok(serde_json::to_string_pretty(&Value::Object(all)).context("write the plan")? + "\n")
}

/// In the order in which a reader asks.
fn document(judgement: &Judgement) -> Document {
    let plan = &judgement.plan;
    let World::New(sandbox) = &plan.world else { unreachable!("create plans a new world") };
    let (before, after) = world::sections(plan, sandbox);
    let program = program::sections(&plan.process, &plan.hooks, &judgement.spec);
    Document { sections: before.into_iter().chain(program).chain(after).collect() }
}

fn beginning(judgement: &Judgement) -> &'static str {
    match judgement.whose {
        Whose::Caller => "",
        Whose::Root => "The plan as root would have it; why it is not for this user stands at the end.\n\n",
    }
}

/// What should be known although nothing is wrong with the plan itself, and who can run it.
fn ending(judgement: &Judgement) -> String {
    let mut text = String::new();
    for (severity, title) in [(Severity::Warning, "Warnings"), (Severity::Error, "Why it cannot be run")] {
        let said = judgement.findings.iter().filter(|finding| finding.severity == severity);
        let rows: Vec<Vec<String>> = said.map(|finding| vec![finding.line()]).collect();
        if !rows.is_empty() {
            let section = Section::table("", title, rows, Value::Null);
            text.push('\n');
            text.push_str(&text::section(&section));
        }
    }
    format!("{text}\n{}\n", judgement.verdict())
}
