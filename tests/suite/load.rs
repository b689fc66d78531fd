//! Many at once, and one after the other.

use crate::harness::{Bundle, Container};
use crate::needs;

/// Does something with each item on a few threads.
fn on_threads<T: Sync, R: Send>(items: &[T], deed: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let deed = &deed;
    std::thread::scope(|scope| {
        let workers: Vec<_> = items
            .chunks(items.len().div_ceil(8))
            .map(|part| scope.spawn(move || part.iter().map(deed).collect::<Vec<_>>()))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a worker")).collect()
    })
}

#[test]
fn a_hundred_containers_run_at_once() {
    needs!(root);
    let first = Bundle::busybox();
    let bundles: Vec<_> = (0..100).map(|n| first.twin(&n.to_string())).collect();
    let containers: Vec<Container> = on_threads(&bundles, Bundle::start);
    let listed = first.runtime(["list", "-f", "json"]).output().ok().stdout;
    assert_eq!(listed.matches("\"running\"").count(), 100);
    let said = on_threads(&containers, |container| container.exec(["hostname"]).code);
    assert_eq!(said, [0; 100]);
    on_threads(&containers, |container| container.delete_by_force().ok());
    first.assert_nothing_left();
}

#[test]
fn a_hundred_short_runs_lose_no_output() {
    needs!(root);
    let bundle = Bundle::busybox();
    let twins: Vec<_> = (0..4).map(|n| bundle.twin(&n.to_string()).args(["echo", "said"])).collect();
    on_threads(&twins, |twin| (0..25).for_each(|_| assert_eq!(twin.run().ok().stdout, "said\n")));
}

#[test]
fn a_hundred_execs_in_one_container() {
    needs!(root);
    let container = Bundle::busybox().start();
    on_threads(&[0; 100], |_| assert_eq!(container.exec(["echo", "said"]).ok().stdout, "said\n"));
    let listed = container.runtime(["ps", "-f", "json", container.id()]).output().ok().stdout;
    assert_eq!(serde_json::from_str::<Vec<i32>>(&listed).unwrap().len(), 1, "only init is left: {listed}");
}
