//! SIGKILL at every system call of ADD: DEL leaves nothing of it, and ADD completes it.

use crate::faults::killed_at_each;

use super::failed_add::with_subnets;
use super::pod::{Pod, both};

#[test]
fn whenever_an_add_is_killed_del_leaves_nothing() {
    for keys in [both(), with_subnets()] {
        let pod = Pod::new();
        let before = pod.state();
        let add = pod.call("ADD").stdin(pod.conf(keys.clone()).to_string());
        let kills = killed_at_each(
            pod.host(),
            &add,
            || (),
            |at| {
                pod.del(keys.clone());
                assert_eq!(pod.state(), before, "{at}");
            },
        );
        assert!(kills > 30, "{kills}");
    }
}

#[test]
fn whenever_an_add_is_killed_add_completes_the_work() {
    let pod = Pod::new();
    let before = pod.state();
    pod.add(both());
    let whole = pod.state();
    pod.del(both());
    let add = pod.call("ADD").stdin(pod.conf(both()).to_string());
    let kills = killed_at_each(
        pod.host(),
        &add,
        || (),
        |at| {
            pod.add(both());
            pod.check(both());
            assert_eq!(pod.state(), whole, "{at}");
            pod.del(both());
            assert_eq!(pod.state(), before, "{at}");
        },
    );
    assert!(kills > 30, "{kills}");
}
