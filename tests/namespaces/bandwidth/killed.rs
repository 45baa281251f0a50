//! ADD that is killed at any moment: DEL leaves nothing of it, and ADD completes it.

use super::failed_add::{add_with, with_subnets};
use super::pod::{Pod, both};

#[test]
fn after_a_kill_at_any_request_del_leaves_nothing() {
    for keys in [both(), with_subnets()] {
        let pod = Pod::new();
        let before = pod.state();
        let mut killed = 0;
        for request in 1..100 {
            let fault = format!("inject=sendto:signal=SIGKILL:when={request}");
            if add_with(&pod, &fault, keys.clone()) == Some(0) {
                break;
            }
            killed += 1;
            pod.del(keys.clone());
            assert_eq!(pod.state(), before, "request {request}");
        }
        assert!(killed > 10, "{killed}");
    }
}

#[test]
fn after_a_kill_at_any_request_add_completes_the_work() {
    let pod = Pod::new();
    let before = pod.state();
    pod.add(both());
    let whole = pod.state();
    pod.del(both());
    let mut killed = 0;
    for request in 1..100 {
        let fault = format!("inject=sendto:signal=SIGKILL:when={request}");
        if add_with(&pod, &fault, both()) == Some(0) {
            break;
        }
        killed += 1;
        pod.add(both());
        pod.check(both());
        assert_eq!(pod.state(), whole, "request {request}");
        pod.del(both());
        assert_eq!(pod.state(), before, "request {request}");
    }
    assert!(killed > 10, "{killed}");
}
