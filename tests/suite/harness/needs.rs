//! `needs!(root)`: a test says what it cannot do without, and says so aloud when it is left out.

use super::host::{self, Layout};
use std::io::Write;
use std::path::Path;

/// What a test may ask of the machine.
pub enum Need {
    Root,
    V1,
    V2,
    Controller(&'static str),
    Program(&'static str),
    File(&'static str),
    /// A version of Linux, `5.12`.
    Kernel(&'static str),
    AppArmor,
}

/// True when the machine has it. Otherwise the skip is printed past the test harness's capture; under `CI=true` a skip
/// that another run of the same machine does not make good is a failure.
pub fn met(need: &Need) -> bool {
    let Some((reason, excusable)) = lacks(need) else {
        return true;
    };
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    assert!(excusable || std::env::var("CI").as_deref() != Ok("true"), "{test} must not be skipped: {reason}");
    let _ = writeln!(std::io::stderr(), "SKIP {test}: {reason}");
    false
}

/// Why the need is not met, and whether that is in the nature of the machine or of the layout under test.
fn lacks(need: &Need) -> Option<(String, bool)> {
    let v2 = host::layout() == Layout::V2;
    match need {
        Need::Root => (!nix::unistd::geteuid().is_root()).then(|| ("needs root".into(), false)),
        Need::V1 => v2.then(|| ("needs cgroup v1".into(), true)),
        Need::V2 => (!v2).then(|| ("needs cgroup v2".into(), true)),
        Need::Controller(name) => {
            host::controller(name).is_none().then(|| (format!("no {name} controller in this cgroup layout"), true))
        }
        Need::Program(name) => {
            let path = std::env::var("PATH").unwrap_or_default();
            let found = path.split(':').any(|dir| Path::new(dir).join(name).is_file());
            (!found).then(|| (format!("needs the program {name}"), false))
        }
        Need::Kernel(version) => {
            let here = host::kernel();
            let is_older = here < host::version(version);
            is_older.then(|| (format!("needs Linux {version}, and this is {}.{}", here.0, here.1), true))
        }
        Need::AppArmor => (!host::has_apparmor()).then(|| ("AppArmor is not enabled in this kernel".into(), true)),
        Need::File(path) => (!Path::new(path).exists()).then(|| (format!("this kernel has no {path}"), true)),
    }
}

/// Leaves the test when the machine lacks what it names: `needs!(root)`, `needs!(v2)`, `needs!(controller "pids")`,
/// `needs!(kernel "5.12")`, `needs!(apparmor)`.
#[macro_export]
macro_rules! needs {
    (root) => { $crate::needs!(@ Root) };
    (v1) => { $crate::needs!(@ V1) };
    (v2) => { $crate::needs!(@ V2) };
    (controller $name:literal) => { $crate::needs!(@ Controller($name)) };
    (program $name:literal) => { $crate::needs!(@ Program($name)) };
    (file $path:literal) => { $crate::needs!(@ File($path)) };
    (kernel $version:literal) => { $crate::needs!(@ Kernel($version)) };
    (apparmor) => { $crate::needs!(@ AppArmor) };
    (@ $($need:tt)*) => {
        if !$crate::harness::met(&$crate::harness::Need::$($need)*) {
            return;
        }
    };
}
