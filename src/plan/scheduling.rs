//! process.scheduler, ioPriority, execCPUAffinity: what share of the machine's time the process gets.

use super::list;
use crate::error::{Context, Result, bail, ensure};
use crate::sys::sched::{Attributes, IoPriority};
use oci_spec::runtime::{
    ExecCPUAffinity, IOPriorityClass, LinuxIOPriority, LinuxSchedulerFlag as Flag, LinuxSchedulerPolicy as Policy,
    Scheduler,
};
use serde::{Deserialize, Serialize};

/// The kernel's numbers of the policies. sched_setattr(2), include/uapi/linux/sched.h.
const POLICIES: [(Policy, &str, u32); 6] = [
    (Policy::SchedOther, "SCHED_OTHER", 0),
    (Policy::SchedFifo, "SCHED_FIFO", 1),
    (Policy::SchedRr, "SCHED_RR", 2),
    (Policy::SchedBatch, "SCHED_BATCH", 3),
    (Policy::SchedIdle, "SCHED_IDLE", 5),
    (Policy::SchedDeadline, "SCHED_DEADLINE", 6),
];

const FLAGS: [(Flag, u64); 7] = [
    (Flag::SchedResetOnFork, 0x01),
    (Flag::SchedFlagReclaim, 0x02),
    (Flag::SchedFlagDLOverrun, 0x04),
    (Flag::SchedFlagKeepPolicy, KEEP_POLICY),
    (Flag::SchedFlagKeepParams, KEEP_PARAMS),
    (Flag::SchedFlagUtilClampMin, 0x20),
    (Flag::SchedFlagUtilClampMax, 0x40),
];

const KEEP_POLICY: u64 = 0x08;
const KEEP_PARAMS: u64 = 0x10;

/// What SCHED_DEADLINE takes at the least and at the most, in nanoseconds. sched(7).
const DEADLINE_TIMES: std::ops::Range<u64> = 1024..1 << 63;

pub(super) fn scheduler(asked: &Scheduler, warnings: &mut Vec<String>) -> Result<Attributes> {
    let found = POLICIES.into_iter().find(|(policy, ..)| policy == asked.policy());
    let Some((policy, name, number)) = found else {
        bail!("policy: SCHED_ISO is reserved and in no Linux kernel; use SCHED_OTHER or SCHED_BATCH")
    };
    let words = asked.flags().iter().flatten();
    let flags =
        words.flat_map(|word| FLAGS.iter().filter(move |(flag, _)| flag == word)).fold(0, |all, (_, f)| all | f);
    let (nice, priority) = (asked.nice().unwrap_or(0), asked.priority().unwrap_or(0));
    let times = [asked.runtime(), asked.deadline(), asked.period()].map(|time| time.unwrap_or(0));
    let keeps = flags & (KEEP_POLICY | KEEP_PARAMS) != 0; // then the kernel takes what the process has
    if matches!(policy, Policy::SchedOther | Policy::SchedBatch) {
        ensure!((-20..=19).contains(&nice), "nice: {nice} is out of range (-20 to 19)");
    } else if nice != 0 {
        warnings.push(format!("process.scheduler.nice: has no effect with {name}"));
    }
    if matches!(policy, Policy::SchedFifo | Policy::SchedRr) {
        ensure!((1..=99).contains(&priority) || keeps, "priority: {priority} is out of range; {name} takes 1 to 99");
    } else {
        ensure!(priority == 0, "priority: only SCHED_FIFO and SCHED_RR have one; remove it, or change the policy");
    }
    if policy == Policy::SchedDeadline {
        ensure!(
            keeps || deadline_fits(times),
            "runtime {}, deadline {}, period {}: SCHED_DEADLINE takes nanoseconds from {}, the runtime up to the deadline, \
             the deadline up to the period (which may be 0)",
            times[0],
            times[1],
            times[2],
            DEADLINE_TIMES.start
        );
    } else {
        ensure!(
            times == [0; 3],
            "runtime, deadline and period belong to SCHED_DEADLINE; remove them, or change the policy"
        );
    }
    let [runtime, deadline, period] = times;
    Ok(Attributes { policy: number, flags, nice, priority: priority.cast_unsigned(), runtime, deadline, period })
}

/// A period of 0 means the deadline.
fn deadline_fits([runtime, deadline, period]: [u64; 3]) -> bool {
    let in_range = |time| DEADLINE_TIMES.contains(&time);
    in_range(runtime)
        && in_range(deadline)
        && runtime <= deadline
        && (period == 0 || in_range(period) && deadline <= period)
}

pub(super) fn io_priority(asked: &LinuxIOPriority) -> Result<IoPriority> {
    let class = match asked.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    match u16::try_from(asked.priority()) {
        Ok(level @ 0..=7) => Ok(IoPriority::new(class, level)),
        _ => bail!("priority: {} is out of range (0, the highest, to 7)", asked.priority()),
    }
}

/// Where exec runs; init runs where its cpuset lets it. config.md, "execCPUAffinity".
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecAffinity {
    /// Before the process enters the container's cgroup: the runtime's own, which its child inherits.
    pub initial: Option<list::Set>,
    /// After it.
    #[serde(rename = "final")]
    pub then: Option<list::Set>,
}

pub(super) fn affinity(asked: &ExecCPUAffinity) -> Result<ExecAffinity> {
    let set = |name: &'static str, text: &Option<String>| -> Result<Option<list::Set>> {
        let set = text.as_deref().map(list::parse).transpose().context(name)?;
        Ok(set.filter(|set| !set.is_empty()))
    };
    Ok(ExecAffinity { initial: set("initial", asked.initial())?, then: set("final", asked.cpu_affinity_final())? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lowered(json: &str) -> Result<Attributes> {
        scheduler(&serde_json::from_str(json).unwrap(), &mut Vec::new())
    }

    #[test]
    fn what_belongs_to_another_policy_is_refused() {
        for (json, place) in [
            (r#"{"policy":"SCHED_ISO"}"#, "policy"),
            (r#"{"policy":"SCHED_OTHER","nice":20}"#, "nice"),
            (r#"{"policy":"SCHED_BATCH","nice":-21}"#, "nice"),
            (r#"{"policy":"SCHED_OTHER","priority":1}"#, "priority"),
            (r#"{"policy":"SCHED_FIFO"}"#, "priority"),
            (r#"{"policy":"SCHED_RR","priority":100}"#, "priority"),
            (r#"{"policy":"SCHED_RR","priority":-1}"#, "priority"),
            (r#"{"policy":"SCHED_IDLE","runtime":5000}"#, "runtime"),
            (r#"{"policy":"SCHED_DEADLINE"}"#, "runtime"),
            (r#"{"policy":"SCHED_DEADLINE","runtime":1023,"deadline":5000}"#, "runtime"),
            (r#"{"policy":"SCHED_DEADLINE","runtime":5001,"deadline":5000}"#, "runtime"),
            (r#"{"policy":"SCHED_DEADLINE","runtime":5000,"deadline":6000,"period":5500}"#, "runtime"),
        ] {
            let error = lowered(json).expect_err(json).to_string();
            assert!(error.starts_with(place), "{json}: {error}");
        }
    }

    #[test]
    fn what_is_not_said_is_zero() {
        let times = r#"{"policy":"SCHED_DEADLINE","runtime":42000,"deadline":100000}"#;
        let expected = Attributes { policy: 6, runtime: 42000, deadline: 100_000, ..Attributes::default() };
        assert_eq!(lowered(times).unwrap(), expected);
        assert_eq!(
            lowered(r#"{"policy":"SCHED_FIFO","flags":["SCHED_FLAG_KEEP_PARAMS"]}"#).unwrap().flags,
            KEEP_PARAMS
        );
    }

    #[test]
    fn a_nice_value_without_effect_is_a_warning() {
        let mut warnings = Vec::new();
        let asked = serde_json::from_str(r#"{"policy":"SCHED_IDLE","nice":19}"#).unwrap();
        scheduler(&asked, &mut warnings).unwrap();
        assert_eq!(warnings, ["process.scheduler.nice: has no effect with SCHED_IDLE"]);
    }

    #[test]
    fn io_priorities_have_eight_levels() {
        let lowered = |json: &str| io_priority(&serde_json::from_str(json).unwrap());
        assert_eq!(lowered(r#"{"class":"IOPRIO_CLASS_BE","priority":7}"#).unwrap(), IoPriority::new(2, 7));
        assert_eq!(lowered(r#"{"class":"IOPRIO_CLASS_IDLE"}"#).unwrap(), IoPriority::new(3, 0));
        for level in ["-1", "8", "65536"] {
            assert!(lowered(&format!(r#"{{"class":"IOPRIO_CLASS_RT","priority":{level}}}"#)).is_err());
        }
    }
}
