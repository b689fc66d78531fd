//! A cgroup that is a scope of systemd's: made around the container's first process, told of its limits, stopped.
//!
//! Runs in the runtime's process. A scope cannot be made empty, so `make` only checks that systemd can be reached. The child
//! asks to be placed before it does anything else; then the scope is started with its pid in it, and the limits are
//! written, and the device rules. After that the directories are used like any others.

mod bus;
mod wire;

use super::dir::{Dir, Version};
use super::{Cgroup, delegate, devices, join, settings, spots, v1, v2};
use crate::error::{Context, Result, anyhow, bail, ensure};
use crate::interrupt::Interrupt;
use crate::log;
use crate::plan::cgroup::systemd::{Need, Property};
use crate::plan::cgroup::variant::Variant;
use crate::plan::cgroup::{self as plan, Layout, Place, Scope};
use bus::{Bus, Refusal};
use std::path::Path;
use wire::Writer;

/// Asks systemd for nothing yet; fails where nobody can be asked.
pub(super) fn check(scope: &Scope) -> Result<()> {
    let remedy = || match bus::is_booted() {
        true => "--systemd-cgroup",
        false => {
            "--systemd-cgroup: do without it here (Docker: native.cgroupdriver=cgroupfs, Podman: --cgroup-manager=cgroupfs, \
             containerd: SystemdCgroup = false)"
        }
    };
    Bus::probe(scope.manager).with_context(remedy)
}

/// Makes the scope, with the process in it, and everything that is to hold there. `cgroup` has its directories afterwards;
/// from the moment when systemd may have made something, it is marked to be stopped.
pub(super) fn start(
    cgroup: &mut Cgroup,
    plan: &plan::Cgroup,
    scope: &Scope,
    pid: i32,
    interrupt: &Interrupt,
) -> Result<()> {
    let mut bus = Bus::open(scope.manager, Some(interrupt))?;
    start_unit(&mut bus, cgroup, plan, scope, pid).with_context(|| format!("systemd: start {}", scope.unit))?;
    drop(bus);
    open(cgroup, &plan.place, scope, pid)?;
    let cpuset = cgroup.dirs.iter().find(|dir| dir.has("cpuset"));
    cpuset.map(v1::fill_parents).transpose()?;
    settings::write(&cgroup.dirs, &plan.settings)?;
    let cpuset = cgroup.dirs.iter().find(|dir| dir.has("cpuset"));
    cpuset.map(v1::fill).transpose()?;
    // systemd puts it into the hierarchies that it uses; it belongs into all.
    for dir in cgroup.dirs.iter().filter(|dir| dir.version == Version::V1 && !dir.has("name=systemd")) {
        join::add(dir, pid)?;
    }
    plan.devices.as_ref().map_or(Ok(()), |rules| devices::apply(&cgroup.dirs, rules))?;
    delegate::hand_over(cgroup, plan)
}

fn start_unit(bus: &mut Bus, cgroup: &mut Cgroup, plan: &plan::Cgroup, scope: &Scope, pid: i32) -> Result<()> {
    let pids = Variant::array("u", vec![Variant::U32(pid.cast_unsigned())]);
    let mut properties: Vec<&Property> = plan.properties.iter().collect();
    let mut reset = false;
    loop {
        let mut body = Writer::default();
        body.text(&scope.unit);
        body.text("fail"); // rather than replace a job of somebody else's for a unit of that name
        let all = properties.iter().map(|property| (property.name.as_str(), &property.value));
        body.properties(all.chain([("PIDs", &pids)]));
        body.array(8, |_| {}); // further units
        match bus.run("StartTransientUnit", "ssa(sv)a(sa(sv))", &body) {
            Ok(result) => {
                cgroup.started = true;
                ensure!(result == "done", "the job ended with {result:?}; see journalctl -u {}", scope.unit);
                return Ok(());
            }
            Err(error) => match error.downcast_ref::<Refusal>() {
                // It may have been made after all: nobody told us otherwise.
                None => {
                    cgroup.started = true;
                    return Err(error);
                }
                // A failed unit keeps its name occupied until somebody says that he has seen it.
                Some(refusal) if refusal.is("UnitExists") && !reset => {
                    reset = true;
                    drop(ask_about(bus, "ResetFailedUnit", scope)); // then it exists still, which is the error
                }
                Some(refusal) if refusal.is("UnitExists") => {
                    let remedy = format!(
                        "a unit of that name runs already; end it ({} stop {}), or choose another name in \
                         linux.cgroupsPath",
                        scope.systemctl(),
                        scope.unit
                    );
                    return Err(error.context(remedy));
                }
                Some(refusal) => match forgo(&mut properties, refusal) {
                    true => {}
                    false => return Err(error),
                },
            },
        }
    }
}

/// An older systemd does not know all properties, nor all values; a newer one has forgotten some. What is not needed is left
/// out. False when that does not help.
fn forgo(properties: &mut Vec<&Property>, refusal: &Refusal) -> bool {
    let named = |name: &str| refusal.text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == name);
    let before = properties.len();
    properties.retain(|property| {
        let goes = property.need == Need::Nice && named(&property.name);
        if goes {
            log::debug(format!("systemd does without {}: {refusal}", property.name));
        }
        !goes
    });
    properties.len() < before
}

/// The directories that systemd has made, those that it has not (v1), and the container's own below them.
fn open(cgroup: &mut Cgroup, place: &Place, scope: &Scope, pid: i32) -> Result<()> {
    for (version, controllers, spot) in spots(place) {
        let theirs = Dir::find(version, controllers, spot)?;
        if theirs.fd().is_some() {
            cgroup.dirs.push(theirs);
            continue;
        }
        let whole = version == Version::V2 && spot.path == scope.path;
        ensure!(!whole, "systemd: {} is not where it should be: there is no {theirs}", scope.unit);
        let (ours, done) = Dir::make(version, controllers, spot);
        cgroup.dirs.push(ours);
        done?;
    }
    let Layout::V2(spot) = &place.layout else { return Ok(()) };
    let Some(dir) = cgroup.dirs.first() else { return Ok(()) };
    if spot.path != scope.path {
        // Controllers are passed on by a cgroup without processes only, so it moves first.
        join::add(dir, pid)?;
        let above = dir.read_parent(&scope.path, "cgroup.controllers").unwrap_or_default();
        v2::enable_in(dir, &scope.path, &above.split_whitespace().collect::<Vec<_>>());
    }
    let inside = dir.processes()?.contains(&pid);
    ensure!(inside, "systemd: {} was started without process {pid} in it", scope.unit);
    Ok(())
}

/// Tells systemd of other limits. What it does not know is left out, as above.
pub(super) fn set(scope: &Scope, properties: &[Property]) -> Result<()> {
    if properties.is_empty() {
        return Ok(());
    }
    let mut bus = Bus::open(scope.manager, None)?;
    let mut properties: Vec<&Property> = properties.iter().collect();
    loop {
        let mut body = Writer::default();
        body.text(&scope.unit);
        body.u32(1); // until it ends, not for ever
        body.properties(properties.iter().map(|property| (property.name.as_str(), &property.value)));
        match bus.ask("SetUnitProperties", "sba(sv)", &body) {
            Ok(()) => return Ok(()),
            Err(error) => {
                let known = error.downcast_ref().is_some_and(|refusal| forgo(&mut properties, refusal));
                if !known {
                    return Err(error).with_context(|| format!("systemd: set properties of {}", scope.unit));
                }
            }
        }
    }
}

/// Puts one more process into the scope, or a cgroup below it. By systemd, which may do what a user may not.
pub(super) fn attach(scope: &Scope, dir: &Dir, pid: i32, interrupt: &Interrupt) -> Result<()> {
    let below = dir.path().strip_prefix(&scope.path).unwrap_or(Path::new(""));
    let below = below.to_str().context("a cgroup whose name is no text")?;
    let mut body = Writer::default();
    body.text(&scope.unit);
    body.text(&if below.is_empty() { String::new() } else { format!("/{below}") });
    body.array(4, |w| w.u32(pid.cast_unsigned()));
    let mut bus = Bus::open(scope.manager, Some(interrupt))?;
    bus.ask("AttachProcessesToUnit", "ssau", &body)
        .with_context(|| format!("systemd: put process {pid} into {}", scope.unit))
}

/// Stops the scope, and makes systemd forget it. That it is gone already is success.
pub(super) fn stop(scope: &Scope) -> Result<()> {
    let mut bus = Bus::open(scope.manager, None)?;
    let mut body = Writer::default();
    body.text(&scope.unit);
    body.text("replace");
    let stopped = match bus.run("StopUnit", "ss", &body) {
        Ok(result) if result == "done" => Ok(()),
        Ok(result) => Err(anyhow!("the job ended with {result:?}")),
        Err(error) if is_unknown(&error) => Ok(()),
        Err(error) => Err(error),
    };
    stopped.with_context(|| format!("systemd: stop {}", scope.unit))?;
    match ask_about(&mut bus, "ResetFailedUnit", scope) {
        Err(error) if !is_unknown(&error) => bail!(error.context(format!("systemd: forget {}", scope.unit))),
        _ => Ok(()),
    }
}

fn ask_about(bus: &mut Bus, member: &str, scope: &Scope) -> Result<()> {
    let mut body = Writer::default();
    body.text(&scope.unit);
    bus.ask(member, "s", &body)
}

fn is_unknown(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Refusal>().is_some_and(|refusal| refusal.is("NoSuchUnit"))
}
