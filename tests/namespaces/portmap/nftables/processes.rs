//! ADD, CHECK and DEL start no other process, and write only what is missing.

use std::process::Stdio;

use sandbox::Namespace;
use sandbox::plugin::binary;

use super::{Pod, host_with};

/// The lines of strace for one verb, all threads and children.
fn traced(pod: &Pod, verb: &str, host: &Namespace, calls: &str) -> String {
    let file = std::env::temp_dir().join(format!("trace-{verb}-{}", std::process::id()));
    let request = pod.request().to_string();
    let input = std::env::temp_dir().join(format!("request-{verb}-{}", std::process::id()));
    std::fs::write(&input, request).unwrap();
    let status = host
        .command("strace")
        .args(["-f", "-e", &format!("trace={calls}"), "-o"])
        .arg(&file)
        .arg(binary("portmap"))
        .env("CNI_COMMAND", verb)
        .env("CNI_CONTAINERID", &pod.id)
        .env("CNI_IFNAME", &pod.ifname)
        .env("CNI_NETNS", &pod.netns)
        .env("CNI_PATH", "/x")
        .stdin(std::fs::File::open(&input).unwrap())
        .stdout(Stdio::null())
        .status()
        .expect("install strace");
    assert!(status.success(), "{verb}");
    let trace = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(file).unwrap();
    std::fs::remove_file(input).unwrap();
    trace
}

#[test]
fn no_verb_starts_another_process() {
    let net = host_with(1);
    let pod = Pod::new(&net, 0);
    for verb in ["ADD", "CHECK", "DEL"] {
        let trace = traced(&pod, verb, &net.host, "execve,execveat");
        let calls = trace.lines().filter(|line| line.contains('('));
        assert_eq!(calls.count(), 1, "{verb}: {trace}");
    }
}
