//! `portmap`'s lines, on every backend.

use super::{line, lines, values};
use crate::portmap::node::{Backend, Host, on_every_backend};

on_every_backend!(
    mappings_that_come_change_and_go_are_told,
    what_was_undone_was_not_changed,
    gc_tells_what_it_removed,
);

fn request(ports: &str, more: &str) -> String {
    format!(
        r#"{{"cniVersion":"1.1.0","name":"net1","type":"portmap","logLevel":"info",{more}"runtimeConfig":{{"portMappings":[{ports}]}},
        "prevResult":{{"cniVersion":"1.1.0","interfaces":[{{"name":"eth0","sandbox":"/x"}}],
        "ips":[{{"interface":0,"address":"10.22.0.2/16"}}]}}}}"#
    )
}

const TWO: &str = r#"{"hostPort":8080,"containerPort":80,"protocol":"tcp"},
    {"hostPort":53,"containerPort":53,"protocol":"udp","hostIP":"10.99.0.1"}"#;

const ONE: &str = r#"{"hostPort":8443,"containerPort":443,"protocol":"tcp"}"#;

fn mappings_that_come_change_and_go_are_told(backend: Backend) {
    let host = Host::usual(backend);
    let told = ["level", "verb", "outcome", "changed"];
    let by = format!("by {}", backend.key());
    let added = line(&host.run("ADD", &request(TWO, "")));
    assert_eq!(
        values(&added, ["level", "verb", "outcome"]),
        ["info", "ADD", "changed"]
    );
    let mapped = format!("mapped 8080/tcp, 10.99.0.1:53/udp {by}; set route_localnet of ");
    assert!(added["changed"].starts_with(&mapped), "{added:?}");
    for verb in ["ADD", "CHECK", "STATUS"] {
        assert_eq!(host.run(verb, &request(TWO, "")).stderr, "", "{verb}");
    }
    let changed = line(&host.run("ADD", &request(ONE, "")));
    let mapped = format!("mapped 8443/tcp {by}");
    assert_eq!(
        values(&changed, told),
        ["info", "ADD", "changed", mapped.as_str()]
    );
    let drifted = host.call("CHECK", &request(TWO, "")).run(&host.net.host);
    let drifted = line(&drifted.unwrap());
    assert_eq!(
        values(&drifted, ["level", "outcome", "code"]),
        ["error", "refused", "101"]
    );
    // DEL needs no mappings to know what went.
    let removed = line(&host.run("DEL", &request("", "")));
    let unmapped = format!("unmapped 8443/tcp {by}");
    assert_eq!(
        values(&removed, told),
        ["info", "DEL", "changed", unmapped.as_str()]
    );
    for verb in ["DEL", "GC"] {
        assert_eq!(host.run(verb, &request(TWO, "")).stderr, "", "{verb}");
    }
    let unchanged = line(&host.run("DEL", &request("", r#""logLevel":"debug","#)));
    assert_eq!(values(&unchanged, told), ["debug", "DEL", "unchanged", "-"]);
    assert_eq!(host.run("ADD", &request("", "")).stderr, "");
}

fn what_was_undone_was_not_changed(backend: Backend) {
    let host = Host::usual(backend);
    host.run("ADD", &request(ONE, ""));
    let careful = request(ONE, r#""onConflict":"error","#);
    let call = host.call("ADD", &careful).env("CNI_CONTAINERID", "other");
    let refused = line(&call.run(&host.net.host).unwrap());
    assert_eq!(
        values(
            &refused,
            ["level", "container", "outcome", "code", "changed"]
        ),
        ["error", "other", "refused", "102", "-"]
    );
    let twice = format!(
        "{ONE},{}",
        ONE.replace("443,", "444,").replace("8444", "8443")
    );
    let all = lines(&host.run("ADD", &request(&twice, "")).stderr);
    let told: Vec<_> = all
        .iter()
        .map(|line| values(line, ["level", "msg"]))
        .collect();
    assert_eq!(
        told,
        [[
            "warning",
            "8443/tcp is mapped twice, the first mapping wins"
        ]]
    );
}

fn gc_tells_what_it_removed(backend: Backend) {
    let host = Host::usual(backend);
    host.run("ADD", &request(TWO, ""));
    let gone = line(&host.run("GC", &request("", "")));
    let unmapped = format!("unmapped 8080/tcp, 10.99.0.1:53/udp by {}", backend.key());
    assert_eq!(
        values(&gone, ["verb", "changed"]),
        ["GC", unmapped.as_str()]
    );
}
