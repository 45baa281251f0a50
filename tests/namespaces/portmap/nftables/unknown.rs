//! A system call that fails with an error that the kernel also answers with, for what is not there or
//! not known, is not taken for that answer. The other errors: `faults::verbs`.

use sandbox::plugin::Answer;
use sandbox::topology::Net;
use serde_json::json;

use super::owners::port;
use super::{Pod, contents, host_with, owned};

/// What fails, and how.
const FAULTS: [(&str, &str); 6] = [
    ("socket", "EPERM"),
    ("connect", "ENOENT"),
    ("sendto", "ENOENT"),
    ("sendto", "EINVAL"),
    ("recvfrom", "ENOENT"),
    ("recvfrom", "ENOMEM"),
];

/// Runs a verb while the `nth` call of a kind fails, and says whether there was such a call.
fn with(
    pod: &Pod,
    verb: &str,
    request: &serde_json::Value,
    net: &Net,
    (call, errno, nth): (&str, &str, usize),
) -> (Answer, bool) {
    let log = std::env::temp_dir().join(format!("unknown-{}-{verb}", std::process::id()));
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:error={errno}:when={nth}");
    let name = log.display().to_string();
    let strace = ["strace", "-f", "-o", &name, "-e", &trace, "-e", &inject];
    let answer = pod
        .prepared(verb, request)
        .under(&strace)
        .run(&net.host)
        .unwrap();
    let told = std::fs::read_to_string(&log).unwrap();
    std::fs::remove_file(&log).unwrap();
    (answer, told.contains("(INJECTED)"))
}

/// Runs a verb with every fault; gives how many it met.
fn each(
    pod: &Pod,
    verb: &str,
    request: &serde_json::Value,
    net: &Net,
    judge: impl Fn(&Answer, &str),
) -> usize {
    let mut met = 0;
    for (call, errno) in FAULTS {
        for nth in 1..200 {
            let (answer, is_met) = with(pod, verb, request, net, (call, errno, nth));
            judge(
                &answer,
                &format!("{verb} with {errno} of {call} {nth}: {answer:?}"),
            );
            if !is_met {
                break;
            }
            met += 1;
        }
    }
    met
}

#[test]
fn a_del_that_says_it_is_done_has_removed_everything() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0).mapping(port(8080));
    pod.does("ADD", &net.host);
    for request in [pod.request(), pod.clone().mapping(json!([])).request()] {
        let met = each(&pod, "DEL", &request, &net, |answer, what| {
            let left = owned(&net.host, &pod.owner()).len();
            assert!(answer.code != Some(0) || left == 0, "{what}");
            pod.does("ADD", &net.host);
        });
        assert!(met > 20, "{met}");
    }
}

#[test]
fn a_check_that_cannot_look_names_no_drift_and_does_not_pass_what_is_missing() {
    let net = host_with(2);
    let (sound, lost) = (
        Pod::new(&net, 0).mapping(port(8080)),
        Pod::new(&net, 1).mapping(port(8081)),
    );
    sound.does("ADD", &net.host);
    let before = contents(&net.host);
    let drift = "\"code\": 101";
    let met = each(&sound, "CHECK", &sound.request(), &net, |answer, what| {
        assert!(!answer.stdout.contains(drift), "{what}");
    });
    assert!(met > 10, "{met}");
    each(&lost, "CHECK", &lost.request(), &net, |answer, what| {
        assert_ne!(answer.code, Some(0), "{what}");
    });
    assert_eq!(contents(&net.host), before);
}

#[test]
fn an_add_whose_answer_is_lost_is_done_or_leaves_nothing() {
    let net = host_with(2);
    let (old, pod) = (
        Pod::new(&net, 1).mapping(port(8080)),
        Pod::new(&net, 0).mapping(port(8080)),
    );
    old.does("ADD", &net.host);
    let before = contents(&net.host);
    let met = each(&pod, "ADD", &pod.request(), &net, |answer, what| {
        match answer.code {
            Some(0) => pod.does("CHECK", &net.host),
            _ => assert_eq!(contents(&net.host), before, "{what}"),
        }
        pod.does("DEL", &net.host);
        assert_eq!(contents(&net.host), before, "{what}");
    });
    assert!(met > 20, "{met}");
}
