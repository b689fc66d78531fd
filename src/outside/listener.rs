//! The seccomp agent: gets the descriptor on which the kernel asks, and what it must know of the container.
//! config-linux.md, "The Container Process State".

use crate::error::{Context, Result, anyhow};
use crate::hooks::{OCI_VERSION, State};
use crate::plan::{Plan, World};
use crate::sys::socket;
use std::os::fd::{AsFd, OwnedFd};

/// One message with one descriptor. `pid` is of the process that has the filter; the agent hears nothing more from us.
pub fn send(plan: &Plan, listener: &OwnedFd, pid: i32) -> Result<()> {
    let agent = plan.process.seccomp.as_ref().and_then(|program| program.listener.as_ref());
    let agent = agent.ok_or_else(|| anyhow!("the child sent a listener that is not planned"))?;
    let state = match &plan.world {
        World::New(sandbox) => {
            let (bundle, annotations) = (&sandbox.bundle, &sandbox.annotations);
            State { id: &plan.id, status: "creating", pid, bundle, annotations }
        }
        World::Join(target) => {
            let (bundle, annotations) = (&target.bundle, &target.annotations);
            State { id: &plan.id, status: "running", pid: target.init, bundle, annotations }
        }
    };
    let state: serde_json::Value = serde_json::from_slice(state.to_json().as_bytes()).context("the state")?;
    let mut message = serde_json::json!({"ociVersion": OCI_VERSION, "fds": ["seccompFd"], "pid": pid, "state": state});
    if !agent.metadata.is_empty() {
        message["metadata"] = serde_json::json!(agent.metadata);
    }
    let path = agent.path.display();
    let named = || {
        format!(
            "config.json: linux.seccomp.listenerPath: {path}: failed to connect with seccomp agent, which must be listening there"
        )
    };
    let connection = socket::connect_to(&agent.path).with_context(named)?;
    socket::send(&connection, message.to_string().as_bytes(), Some(listener.as_fd())).with_context(named)
}
