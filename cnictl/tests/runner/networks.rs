//! Finding networks in directories and files.

use crate::recorder::Recorder;

fn plugins(recorder: &Recorder, network: &str) -> Vec<String> {
    let dir = recorder.dir.join("conf");
    let network = cnictl::runner::conf_dir::find(&dir, network).unwrap();
    network
        .plugins
        .into_iter()
        .map(|plugin| plugin.kind)
        .collect()
}

#[test]
fn lists_come_before_single_configurations_and_broken_files_do_not_hide_the_others() {
    let recorder = Recorder::new("find", &[]);
    recorder.config("00-broken.conflist", "{");
    recorder.config("10-a.conf", r#"{"name":"net","type":"single"}"#);
    recorder.config(
        "20-b.conflist",
        r#"{"name":"net","plugins":[{"type":"list"}]}"#,
    );
    recorder.config("30-c.json", r#"{"name":"other","type":"json"}"#);
    recorder.config("40-d.txt", r#"{"name":"third","type":"text"}"#);
    assert_eq!(plugins(&recorder, "net"), ["list"]);
    assert_eq!(plugins(&recorder, "other"), ["json"]);
    let error = cnictl::runner::conf_dir::find(&recorder.dir.join("conf"), "third")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no network \"third\"") && error.contains("there are: net, net, other"),
        "{error}"
    );
    assert!(error.contains("00-broken.conflist: is not JSON"), "{error}");
}

#[test]
fn what_is_no_file_in_the_directory_is_named_and_delays_nothing() {
    let recorder = Recorder::new("pipe", &[]);
    recorder.config("20-b.conf", r#"{"name":"net","type":"single"}"#);
    let dir = recorder.dir.join("conf");
    let pipe = dir.join("10-a.conflist");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success());
    assert_eq!(plugins(&recorder, "net"), ["single"]);
    let error = cnictl::runner::conf_dir::find(&dir, "other").unwrap_err();
    let expected = format!("read {}: it is a pipe, not a file", pipe.display());
    assert!(error.to_string().contains(&expected), "{error}");
}

#[test]
fn plugins_of_a_network_may_stand_in_a_directory_of_their_own() {
    let recorder = Recorder::new("split", &[]);
    recorder.config(
        "a.conflist",
        r#"{"name":"net","plugins":[{"type":"inline"}]}"#,
    );
    recorder.config(
        "b.conflist",
        r#"{"name":"only","loadOnlyInlinedPlugins":true,"plugins":[{"type":"inline"}]}"#,
    );
    recorder.config("c.conflist", r#"{"name":"bare"}"#);
    for network in ["net", "only", "bare"] {
        recorder.config(&format!("{network}/20.conf"), r#"{"type":"second"}"#);
        recorder.config(&format!("{network}/10.conf"), r#"{"type":"first"}"#);
        recorder.config(&format!("{network}/ignored.json"), "{");
    }
    assert_eq!(plugins(&recorder, "net"), ["inline", "first", "second"]);
    assert_eq!(plugins(&recorder, "only"), ["inline"]);
    assert_eq!(plugins(&recorder, "bare"), ["first", "second"]);
}

#[test]
fn a_path_is_read_whatever_its_network_is_called() {
    let recorder = Recorder::new("path", &[]);
    recorder.config("a.conf", r#"{"name":"net","type":"single"}"#);
    let file = recorder.dir.join("conf/a.conf");
    assert_eq!(plugins(&recorder, &file.display().to_string()), ["single"]);
    let missing = recorder.dir.join("conf/b.conf").display().to_string();
    let error = cnictl::runner::conf_dir::find(&recorder.dir, &missing)
        .unwrap_err()
        .to_string();
    assert!(error.contains(&format!("read {missing}")), "{error}");
}

#[test]
fn a_network_without_plugins_is_refused() {
    let recorder = Recorder::new("no-plugins", &[]);
    recorder.config("a.conflist", r#"{"name":"net"}"#);
    let file = recorder.dir.join("conf/a.conflist");
    assert!(
        cnictl::runner::conf_dir::load(&file)
            .unwrap_err()
            .to_string()
            .contains("has no plugins")
    );
}
