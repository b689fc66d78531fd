//! Frozen, thawed, killed.

use super::*;

#[test]
fn freeze_stops_and_thaw_goes_on() {
    on_each_layout(|host| {
        let cgroup = create(&planned(host, &format!("/{}", name()), "{}")).unwrap();
        let victim = Victim::inside(&cgroup, "while :; do :; done");
        let used = || {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", victim.pid())).unwrap();
            stat.rsplit(')').next().unwrap().split(' ').nth(12).unwrap().parse::<u64>().unwrap()
        };
        until("it runs", || used() > 1);
        assert!(!cgroup.is_frozen().unwrap());
        cgroup.freeze().unwrap();
        assert!(cgroup.is_frozen().unwrap());
        let before = used();
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(used(), before);
        cgroup.thaw().unwrap();
        until("it runs again", || used() > before + 1);
        assert!(!cgroup.is_frozen().unwrap());
        cgroup.kill(libc::SIGKILL).unwrap();
    });
}

#[test]
fn kill_reaches_everybody_below_however_fast_they_fork() {
    on_each_layout(|host| {
        let plan = planned(host, &format!("/{}", name()), "{}");
        let cgroup = create(&plan).unwrap().keep();
        let victims: Vec<Victim> =
            (0..4).map(|_| Victim::inside(&cgroup, "while :; do (sleep 0.01 &); done 2>/dev/null")).collect();
        until("they fork", || cgroup.processes().unwrap().len() > 4);
        cgroup.kill(libc::SIGKILL).unwrap();
        until("all are dead", || cgroup.processes().unwrap().is_empty());
        cgroup.remove().unwrap();
        drop(victims);
        assert!(!paths(&plan)[0].exists());
    });
}

#[test]
fn kill_reaches_the_frozen_and_other_signals_leave_them_so() {
    on_each_layout(|host| {
        let cgroup = create(&planned(host, &format!("/{}", name()), "{}")).unwrap();
        let mut victim = Victim::inside(&cgroup, "trap : TERM; sleep 60");
        until("the trap is set", || cgroup.processes().unwrap().len() == 2);
        cgroup.freeze().unwrap();
        cgroup.kill(libc::SIGTERM).unwrap();
        assert!(cgroup.is_frozen().unwrap());
        assert_eq!(victim.0.try_wait().unwrap(), None);
        cgroup.kill(libc::SIGKILL).unwrap();
        until("it is dead", || victim.0.try_wait().unwrap().is_some());
    });
}

/// systemd removes a scope as soon as the last of its processes has ended, while we are waiting for that.
#[test]
fn a_cgroup_that_vanishes_has_nobody_left_in_it() {
    on_each_layout(|host| {
        let cgroup = create(&planned(host, &format!("/{}", name()), "{}")).unwrap().keep();
        cgroup.remove().unwrap();
        if let Some(dir) = cgroup.v2() {
            assert!(v2::wait_empty(dir, std::time::Duration::from_secs(10)).unwrap());
        }
        cgroup.kill(libc::SIGKILL).unwrap();
    });
}
