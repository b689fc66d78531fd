//! A file system that never answers (FUSE) holds a process that SIGKILL does not end. What is left stays on record.

use super::end_payloads::on_the_host;
use crate::harness::{Bundle, eventually, host};
use crate::needs;

#[test]
fn a_create_that_gives_up_keeps_the_record_of_what_it_cannot_kill() {
    needs!(root);
    needs!(file "/dev/fuse");
    for disabled in [false, true] {
        let bundle = Bundle::busybox();
        let hung = bundle.host_directory("hung");
        let bundle = bundle.bind(hung.join("file"), "/data", &[]);
        let bundle = if disabled { bundle.unset("/linux/resources").unset("/linux/cgroupsPath") } else { bundle };
        bundle.write();
        let script = bundle.host_file(
            "script",
            &format!(
                "{} {} --root {} create --bundle {} {} </dev/null >/dev/null 2>{home}/created & \
                 while ! [ -e {hung}.asked ]; do sleep 0.05; done; kill $!; wait $!; \
                 {delete} {} --root {} delete --force {} >/dev/null 2>{home}/deleted; \
                 ls {}",
                crate::harness::binary().display(),
                if disabled { "--cgroup-manager=disabled" } else { "" },
                bundle.state_root().display(),
                bundle.dir().display(),
                bundle.id(),
                crate::harness::binary().display(),
                bundle.state_root().display(),
                bundle.id(),
                bundle.state_root().display(),
                home = bundle.home().display(),
                hung = hung.display(),
                delete = if disabled { "true" } else { "timeout 30" }, // it waits for ten seconds
            ),
        );
        let helper = on_the_host(&format!("hang {} sh {}", hung.display(), script.display()));
        let unshare = ["unshare", "--mount", "--propagation", "private"];
        let words = unshare.into_iter().chain(helper.iter().map(String::as_str));
        let output = bundle.command(words).output().ok();
        let said = |file: &str| crate::harness::read(bundle.home().join(file));
        let (created, deleted) = (said("created"), said("deleted"));
        assert!(output.stdout.contains(bundle.id()), "the record is gone: {output:?} {created} {deleted}");
        assert!(created.contains("/sys/fs/fuse/connections/"), "{created}");
        assert!(disabled || deleted.contains("/sys/fs/fuse/connections/"), "{deleted}");
        assert!(created.contains(&format!("delete --force {}", bundle.id())), "{created}");
        // The file system has ended with its server, and so does the process.
        let container = bundle.handle();
        eventually("the end of the process", || {
            container.delete_by_force().code == 0 && host::processes(bundle.home(), bundle.id()).is_empty()
        });
        bundle.assert_nothing_left();
    }
}
