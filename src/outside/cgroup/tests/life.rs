//! Made, refused, removed.

use super::*;

#[test]
fn create_makes_it_and_an_early_end_unmakes_just_that() {
    on_each_layout(|host| {
        let top = name();
        let plan = planned(host, &format!("/{top}/middle/leaf"), "{}");
        let draft = create(&plan).unwrap();
        assert!(paths(&plan).iter().all(|path| path.is_dir()));
        drop(draft);
        assert!(paths(&plan).iter().all(|path| !path.ancestors().nth(2).unwrap().exists()));

        let outer = create(&planned(host, &format!("/{top}"), "{}")).unwrap();
        drop(create(&plan).unwrap());
        assert!(outer.exists() && paths(&plan).iter().all(|path| !path.parent().unwrap().exists()));
        drop(create(&planned(host, &format!("/{top}"), "{}")).unwrap());
        assert!(outer.exists(), "what was there before stays");
    });
}

#[test]
fn removal_takes_everything_below_and_can_be_repeated() {
    on_each_layout(|host| {
        let plan = planned(host, &format!("/{}", name()), "{}");
        let cgroup = create(&plan).unwrap().keep();
        for path in paths(&plan) {
            std::fs::create_dir_all(path.join("a/b")).unwrap();
            std::fs::create_dir_all(path.join("c")).unwrap();
        }
        cgroup.remove().unwrap();
        assert!(paths(&plan).iter().all(|path| !path.exists()));
        cgroup.remove().unwrap();
        let mut again = open(&plan.place, &[]).unwrap();
        assert!(!again.exists() && again.birth_fd().is_none());
        again.remove().unwrap();
        again.kill(libc::SIGKILL).unwrap();
        assert_eq!((again.processes().unwrap(), again.is_frozen().unwrap()), (vec![], false));
        assert!(
            format!("{:#}", again.add(1, &Interrupt::take().unwrap()).unwrap_err())
                .contains("is gone: no such file or directory (ENOENT)")
        );
        assert!(again.freeze().is_err());
    });
}

#[test]
fn a_cgroup_with_processes_is_refused_and_named() {
    on_each_layout(|host| {
        let plan = planned(host, &format!("/{}", name()), "{}");
        let cgroup = create(&plan).unwrap();
        let victim = Victim::inside(&cgroup, "sleep 60");
        let refusal = refusal(&plan);
        assert!(refusal.contains("container's cgroup is not empty: "), "{refusal}");
        assert!(refusal.contains(&format!("{}", victim.pid())), "{refusal}");
        assert!(cgroup.exists());
        cgroup.kill(libc::SIGKILL).unwrap();
        drop(victim);
    });
}

#[test]
fn a_frozen_cgroup_is_refused_also_when_a_parent_is() {
    on_each_layout(|host| {
        let top = name();
        let plan = planned(host, &format!("/{top}"), "{}");
        let cgroup = create(&plan).unwrap();
        cgroup.freeze().unwrap();
        for path in [format!("/{top}"), format!("/{top}/child")] {
            let refusal = refusal(&planned(host, &path, "{}"));
            assert!(refusal.contains("container's cgroup unexpectedly frozen"), "{refusal}");
        }
        cgroup.thaw().unwrap();
        assert!(paths(&plan).iter().all(|path| !path.join("child").exists()));
    });
}

#[test]
fn a_busy_cgroup_is_not_removed_and_its_processes_are_named() {
    on_each_layout(|host| {
        let cgroup = create(&planned(host, &format!("/{}", name()), "{}")).unwrap();
        let victim = Victim::inside(&cgroup, "sleep 60");
        let start = Instant::now();
        let error = format!("{:#}", cgroup.remove().unwrap_err());
        assert!(error.contains(&format!("(pid {}", victim.pid())) && error.contains("(EBUSY)"), "{error}");
        assert!(start.elapsed() < Duration::from_secs(3));
        cgroup.kill(libc::SIGKILL).unwrap();
    });
}

#[test]
fn hierarchies_are_found_where_the_mount_table_says() {
    let Some(Cgroups::V1 { hierarchies, .. }) = v1() else { return };
    if !mounted("tmpfs") {
        return;
    }
    assert_eq!(host::gather().unwrap(), Cgroups::Missing);
    let memory = hierarchies.iter().find(|hierarchy| hierarchy.controllers == ["memory"]);
    let Some(memory) = memory else { return eprintln!("not tested: memory is not alone in a hierarchy") };
    let at = Path::new("/sys/fs/cgroup/odd");
    std::fs::create_dir(at).unwrap();
    mount(None::<&str>, at, Some("cgroup"), MsFlags::empty(), Some("memory")).unwrap();
    let host = host::gather().unwrap();
    let odd = host::Hierarchy { mount: at.to_owned(), ..memory.clone() };
    assert_eq!(host, Cgroups::V1 { hierarchies: vec![odd], unified: None });

    let path = format!("/{}", name());
    let cgroup = create(&planned(&host, &path, r#"{"memory": {"limit": 20971520}}"#)).unwrap();
    assert_eq!(contents(&cgroup, "memory", "memory.limit_in_bytes"), "20971520");
    for resources in [r#"{"pids": {"limit": 1}}"#, r#"{"devices": [{"allow": false, "access": "rwm"}]}"#] {
        let json = format!(r#"{{"cgroupsPath": {path:?}, "resources": {resources}}}"#);
        let linux = serde_json::from_str(&json).unwrap();
        let said = plan::Said { annotations: None, linux: &linux, id: "ctr" };
        let refused = plan::lower(said, &Host::for_tests_with(&host), &mut Vec::new());
        let refused = format!("{:#}", refused.unwrap_err());
        assert!(refused.contains("this machine has no cgroup v1 hierarchy with the"), "{refused}");
    }
}

#[test]
fn below_a_threaded_cgroup_one_is_threaded() {
    let Some(host) = v2() else { return };
    let top = name();
    let path = PathBuf::from("/sys/fs/cgroup").join(&top);
    std::fs::create_dir_all(path.join("t")).unwrap();
    std::fs::write(path.join("t/cgroup.type"), "threaded").unwrap();
    for inside in ["t", "other", "t/other", "between/other"] {
        let cgroup = create(&planned(&host, &format!("/{top}/{inside}"), "{}")).unwrap();
        assert_eq!(contents(&cgroup, "", "cgroup.type"), "threaded", "{inside}");
    }
    std::fs::remove_dir(path.join("t")).unwrap();
    std::fs::remove_dir(path).unwrap();
}

#[test]
fn a_cgroup_that_passes_controllers_on_is_refused() {
    let Some(host) = v2() else { return };
    let top = name();
    let path = PathBuf::from("/sys/fs/cgroup").join(&top);
    std::fs::create_dir(&path).unwrap();
    if std::fs::write(path.join("cgroup.subtree_control"), "+hugetlb").is_ok() {
        let refusal = refusal(&planned(&host, &format!("/{top}"), "{}"));
        assert!(refusal.contains("a cgroup that passes controllers on takes no process"), "{refusal}");
    }
    std::fs::remove_dir(path).unwrap();
}

#[test]
fn without_cgroups_everything_is_quietly_nothing() {
    let linux = serde_json::from_str("{}").unwrap();
    let said = plan::Said { annotations: None, linux: &linux, id: "ctr" };
    let plan = plan::lower(said, &Host::for_tests(), &mut Vec::new()).unwrap();
    let mut cgroup = create(&plan).unwrap().keep();
    assert!(!cgroup.exists() && cgroup.birth_fd().is_none());
    cgroup.add(1, &Interrupt::take().unwrap()).unwrap();
    cgroup.remove().unwrap();
    assert!(cgroup.freeze().is_err());
}
