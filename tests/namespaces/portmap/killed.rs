//! SIGKILL at every system call of an ADD leaves what DEL can remove.

use super::node::{Backend, Host, mapping, on_every_backend, request};
use crate::faults::killed_at_each;

on_every_backend!(del_after_a_killed_add_leaves_nothing);

fn del_after_a_killed_add_leaves_nothing(backend: Backend) {
    let host = Host::usual(backend);
    let request = request(
        "",
        &[mapping("tcp", 8080, 80), mapping("udp", 8081, 80)].join(","),
    );
    let add = host.call("ADD", &request);
    let kills = killed_at_each(
        &host.net.host,
        &add,
        || (),
        |_| {
            host.run("DEL", &request);
            host.is_clean();
        },
    );
    assert!(kills > 30, "{kills}");
    host.run("ADD", &request);
    host.run("CHECK", &request);
}
