//! `"onConflict": "error"`.

use super::node::{Backend, Host, mapping, mapping_on, on_every_backend, request, request_of};

on_every_backend!(
    a_taken_port_is_refused_and_its_owner_named,
    of_many_that_want_a_port_at_once_one_gets_it,
);

const CAREFUL: &str = r#""onConflict":"error","#;

fn a_taken_port_is_refused_and_its_owner_named(backend: Backend) {
    let host = Host::usual(backend);
    let other = |request: &str| host.call("ADD", request).env("CNI_CONTAINERID", "cid-0002");
    host.run("ADD", &request(CAREFUL, &mapping("tcp", 8080, 80)));
    host.run("ADD", &request(CAREFUL, &mapping("tcp", 8080, 80)));
    let before = host.state();
    let ports = [mapping("udp", 8080, 80), mapping("tcp", 8080, 80)].join(",");
    let said = host.fails(&other(&request(CAREFUL, &ports)), 102);
    assert!(
        said.contains("8080/tcp") && said.contains("cid-0001"),
        "{said}"
    );
    let said = host.fails(
        &other(&request(CAREFUL, &mapping_on("10.99.0.1", "tcp", 8080, 80))),
        102,
    );
    assert!(said.contains("cid-0001"), "{said}");
    assert_eq!(host.state(), before);
    // The same port of another protocol or IP version is another port.
    host.ok(&other(&request(CAREFUL, &mapping("udp", 8080, 80))));
    host.ok(&other(&request("", &mapping("tcp", 8080, 80))));
}

fn of_many_that_want_a_port_at_once_one_gets_it(backend: Backend) {
    let host = Host::usual(backend);
    let request = request_of(CAREFUL, &mapping("tcp", 8080, 80), &["10.22.0.2/16"]);
    let calls: Vec<_> = (0..8)
        .map(|n| {
            host.call("ADD", &request)
                .env("CNI_CONTAINERID", &format!("cid-{n}"))
        })
        .collect();
    let running: Vec<_> = calls
        .iter()
        .map(|call| call.spawn(&host.net.host).unwrap())
        .collect();
    let answers: Vec<_> = running
        .into_iter()
        .map(|running| running.wait().unwrap())
        .collect();
    let winners = answers
        .iter()
        .filter(|answer| answer.code == Some(0))
        .count();
    assert_eq!(winners, 1, "{answers:?}");
    let losers = answers
        .iter()
        .filter(|answer| answer.stdout.contains("\"code\": 102,"));
    assert_eq!(losers.count(), 7, "{answers:?}");
}
