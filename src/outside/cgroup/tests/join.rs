//! Processes born into a cgroup or put there; the choices of exec.

use super::*;

#[test]
fn a_child_is_born_into_the_v2_directory() {
    on_each_layout(|host| {
        let cgroup = create(&planned(host, &format!("/{}", name()), "{}")).unwrap();
        let Some(fd) = cgroup.birth_fd() else {
            assert!(cgroup.dirs.iter().all(|dir| dir.version == Version::V1));
            return;
        };
        let ask = Clone { cgroup: Some(fd), ..Clone::default() };
        let Side::Parent { pid, .. } = process::clone(&ask).unwrap() else {
            loop {
                std::thread::sleep(Duration::from_secs(60));
            }
        };
        let born = cgroup.v2().unwrap().processes().unwrap();
        cgroup.kill(libc::SIGKILL).unwrap();
        process::wait(pid).unwrap();
        assert_eq!(born, [pid]);
    });
}

#[test]
fn exec_can_choose_a_cgroup_below() {
    on_each_layout(|host| {
        let plan = planned(host, &format!("/{}", name()), "{}");
        let cgroup = create(&plan).unwrap().keep();
        for path in paths(&plan) {
            std::fs::create_dir(path.join("below")).unwrap();
        }
        let sub = |said: &[&str]| cgroup.sub(&plan::sub_cgroups(said).unwrap());
        let below = sub(&["below"]).unwrap();
        assert!(below.dirs.iter().all(|dir| dir.path().ends_with("below")));
        assert!(sub(&["/"]).unwrap().dirs.iter().all(|dir| !dir.path().ends_with("below")));
        let missing = format!("{:#}", sub(&["nowhere"]).unwrap_err());
        assert!(missing.contains("no such file or directory"), "{missing}");
        assert!(sub(&["whaaat:/"]).is_err());
        if !is_v2(host) {
            let mixed = sub(&["memory:below"]).unwrap();
            let changed = mixed.dirs.iter().filter(|dir| dir.path().ends_with("below"));
            assert_eq!(changed.map(|dir| dir.has("memory")).collect::<Vec<_>>(), [true]);
        }
        below.dirs.iter().filter(|dir| dir.has("cpuset")).for_each(|dir| v1::fill(dir).unwrap());
        let victim = Victim::inside(&below, "sleep 60");
        assert!(cgroup.processes().unwrap().contains(&victim.pid()));
        cgroup.kill(libc::SIGKILL).unwrap();
        drop(victim);
        below.remove().unwrap();
        assert!(below.exists(), "it is the container's, not ours to remove");
        cgroup.remove().unwrap();
    });
}

#[test]
fn exec_can_follow_a_process() {
    let Some(host) = v2() else { return };
    let plan = planned(&host, &format!("/{}", name()), "{}");
    let cgroup = create(&plan).unwrap().keep();
    let Layout::V2(spot) = &plan.place.layout else { panic!() };
    let of = |text: &str, reach| Cgroup::of_process(&plan.place, text, reach);
    let found = of(&format!("1:cpu:/x\n0::/{}\n", spot.path.display()), Reach::Below).unwrap().unwrap();
    assert!(found.exists() && found.birth_fd().is_some());
    for nowhere in ["0::/../x", "0::/rruntime-test-gone (deleted)", "1:cpu:/x"] {
        assert!(of(nowhere, Reach::Anywhere).is_err());
    }
    assert!(of("0::/", Reach::Anywhere).unwrap().is_some_and(|top| top.exists()));
    let outside = format!("{:#}", of("0::/", Reach::Below).unwrap_err());
    assert!(outside.contains("init has left it for /"), "{outside}");
    cgroup.remove().unwrap();
}
