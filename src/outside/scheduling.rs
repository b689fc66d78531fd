//! process.scheduler and process.ioPriority from the runtime's side: with its rights, in place of a child that has too few
//! (the kernel asks for them in the initial user namespace). What fails here fails for good, and is explained.

use super::spawn::Child;
use crate::error::{Context, Result, anyhow};
use crate::plan::Process;
use crate::sys::{Errno, sched};

pub fn set(plan: &Process, child: &Child) -> Result<()> {
    if let Some(attributes) = &plan.scheduler {
        sched::set_attributes(child.pid, attributes).map_err(|error| {
            let hint = match error.0 {
                Errno::EPERM => {
                    "it needs CAP_SYS_NICE; SCHED_DEADLINE all CPUs (no cpuset), SCHED_FIFO and SCHED_RR on cgroup v1 \
                     cpu.realtimeRuntime"
                }
                Errno::EBUSY => "the CPUs have promised too much of their time to others already",
                Errno::EOPNOTSUPP => "this kernel lacks one of the flags",
                _ => "the kernel does not take these values together",
            };
            anyhow!(error).context(format!("config.json: process.scheduler: {hint}"))
        })?;
    }
    if let Some(priority) = plan.io_priority {
        let hint = "config.json: process.ioPriority: the real-time class needs CAP_SYS_NICE or CAP_SYS_ADMIN";
        sched::set_io_priority(child.pid, priority).context(hint)?;
    }
    Ok(())
}
