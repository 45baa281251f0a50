//! The command: its output, its exit codes, directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const GOOD: &str = r#"{"cniVersion":"1.0.0","name":"net","plugins":[{"type":"ptp"},{"type":"tuning","mtu":1400}]}"#;

fn lint(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_cnictl"))
        .arg("lint")
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn directory(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("lint-{name}"));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    for (file, text) in files {
        fs::write(dir.join(file), text).unwrap();
    }
    dir
}

#[test]
fn a_directory_is_looked_at_whole_and_its_networks_have_a_name_each() {
    let bad = GOOD.replace("mtu", "mtuu");
    let files = [
        ("10-a.conflist", GOOD),
        ("20-b.conflist", &bad),
        ("x.md", "no JSON"),
    ];
    let dir = directory("twice", &files);
    let path = dir.to_str().unwrap();
    let (code, stdout, stderr) = lint(&[path]);
    assert_eq!((code, stderr.as_str()), (1, ""));
    let expected = format!(
        "{path}/20-b.conflist:1:79: warning: \"mtuu\" is not a key of tuning and is ignored, write mtu\n\
         {path}/20-b.conflist:1:23: warning: network \"net\" is in {path}/10-a.conflist, too, write another name\n"
    );
    assert_eq!(stdout, expected);
    let (code, stdout, _) = lint(&[path, "--json"]);
    let document: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &document["schema"]), (1, &1.into()));
    let first = &document["findings"][0];
    assert_eq!(first["severity"], "warning");
    assert_eq!((&first["line"], &first["column"]), (&1.into(), &79.into()));
    assert_eq!(first["write"], "mtu");
}

#[test]
fn a_file_that_cannot_be_read_hides_nothing_of_the_others() {
    let bad = GOOD.replace("mtu", "mtuu");
    let dir = directory("pipe", &[("20-b.conflist", &bad)]);
    let pipe = dir.join("10-a.conflist");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let path = dir.to_str().unwrap();
    let (code, stdout, stderr) = lint(&[path]);
    assert_eq!((code, stderr.as_str()), (1, ""));
    let lines: Vec<&str> = stdout.lines().collect();
    let [unread, misspelt] = lines[..] else {
        panic!("{stdout}");
    };
    let pipe = pipe.display();
    let expected = format!("{pipe}:1:1: error: read {pipe}: it is a pipe, not a file");
    assert_eq!(unread, expected);
    assert!(misspelt.contains("\"mtuu\" is not a key"), "{misspelt}");
}

#[test]
fn exit_codes_are_those_of_the_other_commands() {
    let dir = directory("codes", &[("a.conflist", GOOD)]);
    let file = dir.join("a.conflist");
    for path in [&dir, &file] {
        assert_eq!(
            lint(&[path.to_str().unwrap()]),
            (0, String::new(), String::new())
        );
    }
    let missing = dir.join("b.conflist");
    let (code, stdout, stderr) = lint(&[missing.to_str().unwrap()]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(stderr.contains("b.conflist"), "{stderr}");
    let empty = directory("empty", &[]);
    let (code, _, stderr) = lint(&[empty.to_str().unwrap()]);
    assert!(code == 1 && stderr.contains("no .conflist"), "{stderr}");
    let pipe = empty.join("a.conf");
    let made = Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let (code, _, stderr) = lint(&[pipe.to_str().unwrap()]);
    assert!(code == 1 && stderr.contains("a.conf"), "{stderr}");
    assert_eq!(lint(&[]).0, 2);
}

#[test]
fn nothing_of_a_file_can_end_a_line_or_steer_a_terminal() {
    let hostile = GOOD.replace("mtu", "mtuu\\n\\u001b[2J");
    let dir = directory("hostile", &[("a.conflist", &hostile)]);
    let (_, stdout, _) = lint(&[dir.to_str().unwrap()]);
    assert!(
        !stdout.contains('\x1b') && stdout.lines().count() <= 1,
        "{stdout:?}"
    );
}

#[test]
fn plugins_in_files_of_their_own_are_looked_at_where_libcni_reads_them() {
    let list = |more: &str| format!(r#"{{"cniVersion":"1.0.0","name":"net"{more}}}"#);
    let inlined = r#","plugins":[{"type":"ptp"}]"#;
    let only = format!(r#"{inlined},"loadOnlyInlinedPlugins":true"#);
    let part = r#"{"type":"tuning","mtuu":1400}"#;
    for (name, more, file, text, expected) in [
        (
            "folder",
            inlined,
            "10.conf",
            part,
            "net/10.conf:1:18: warning: \"mtuu\"",
        ),
        (
            "bare",
            "",
            "10.conf",
            part,
            "net/10.conf:1:18: warning: \"mtuu\"",
        ),
        ("bad", inlined, "10.conf", "{", "net/10.conf:1:"),
        (
            "untyped",
            inlined,
            "10.conf",
            "{}",
            "net/10.conf:1:1: error: ",
        ),
        (
            "refused",
            inlined,
            "10.conf",
            r#"{"type":"tuning","mtu":"x"}"#,
            "net/10.conf:1:",
        ),
        (
            "unread",
            &only,
            "10.conf",
            part,
            "a.conflist:1:63: warning: the plugins in ",
        ),
        (
            "none",
            "",
            "10.json",
            part,
            "a.conflist:1:1: error: no plugins here",
        ),
        (
            "good",
            inlined,
            "10.conf",
            r#"{"type":"tuning","mtu":1400}"#,
            "",
        ),
    ] {
        let dir = directory(name, &[("a.conflist", &list(more))]);
        fs::create_dir(dir.join("net")).unwrap();
        fs::write(dir.join("net").join(file), text).unwrap();
        for path in [dir.clone(), dir.join("a.conflist")] {
            let (code, stdout, stderr) = lint(&[path.to_str().unwrap()]);
            assert_eq!(
                (code, stderr.as_str()),
                (i32::from(!expected.is_empty()), "")
            );
            assert!(stdout.contains(expected), "{name}: {stdout}");
            assert!(stdout.lines().count() <= 1, "{name}: {stdout}");
        }
    }
}
