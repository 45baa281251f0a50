//! The command line of the tool, and that the plugins have none.

use std::process::{Command, Output, Stdio};

use sandbox::plugin::binary;

fn run(program: &str, line: &[&str]) -> Output {
    let mut command = Command::new(binary(program));
    command
        .args(line)
        .env_remove("CNI_COMMAND")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

const PLUGINS: [&str; 3] = ["tuning", "portmap", "bandwidth"];

#[test]
fn help_names_every_command_on_one_screen() {
    let help = stdout(&run("cnictl", &["--help"]));
    let commands = [
        "add",
        "check",
        "del",
        "gc",
        "status",
        "version",
        "ports",
        "limits",
        "limit",
        "sysctls",
        "who",
        "metrics",
        "reconcile",
        "lint",
        "install",
        "uninstall",
        "completions",
    ];
    for command in commands {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        let page = stdout(&run("cnictl", &[command, "--help"]));
        assert!(page.contains(&format!("Usage: cnictl {command}")), "{page}");
    }
    assert!(help.lines().count() <= 24, "{help}");
    for line in help.lines() {
        assert!(line.len() <= 80, "{line}");
    }
}

#[test]
fn a_cache_that_is_named_is_there() {
    for command in [
        &["ports"][..],
        &["who", "80"],
        &["limits"],
        &["sysctls"],
        &["reconcile"],
    ] {
        let line = [command, &["--cache-dir", "/nonexistent/cni"]].concat();
        let output = run("cnictl", &line);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(1), 0),
            "{output:?}"
        );
        assert!(
            said.contains("--cache-dir /nonexistent/cni does not exist"),
            "{said}"
        );
    }
}

#[test]
fn what_makes_no_sense_is_refused_on_stderr() {
    for line in [
        &["list"][..],
        &["ports", "--jsn"],
        &["ports", "x"],
        &["gc", "--grace", "x"],
        &["gc", "podnet", "--dry-run"],
        &["gc", "--valid-cached"],
        &["gc", "--network", "a/b"],
        &["reconcile", "--plugin", "bridge"],
        &["limits", "--watch=0"],
        &["completions", "sh"],
        &[],
    ] {
        let output = run("cnictl", line);
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(2), 0),
            "{output:?}"
        );
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("--help"), "{said}");
    }
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let list = std::env::temp_dir().join(format!("cli-output-{}.conflist", std::process::id()));
    let text = r#"{"cniVersion":"1.1.0","name":"x","plugins":[{"type":"portmap"}]}"#;
    std::fs::write(&list, text).unwrap();
    let name = list.display().to_string();
    let binaries = binary("portmap").parent().unwrap().to_owned();
    for line in [
        &["version", &name][..],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
        &["ports", "--help"],
        &["man", "/dev/full"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut command = Command::new(binary("cnictl"));
        command.env("CNI_PATH", &binaries);
        let output = command.args(line).stdout(full.unwrap()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{line:?} {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.starts_with("cnictl: write "), "{line:?} {said}");
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"exec "$0" "$@" >&-"#]);
        shell.env("CNI_PATH", &binaries).arg(binary("cnictl"));
        let output = shell.args(line).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{line:?} {output:?}");
    }
    std::fs::remove_file(list).unwrap();
}

#[test]
fn output_without_a_stdout_is_a_failure() {
    for line in [&["completions", "bash"][..], &["--help"], &["--version"]] {
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" >&-"])
            .arg(binary("cnictl"));
        let output = command.args(line).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{line:?} {output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, "cnictl: write to stdout: it is closed\n");
    }
}

#[test]
fn an_argument_of_any_length_is_quoted_in_short() {
    let long = "x".repeat(100_000);
    let option = format!("--{long}");
    let pair = format!("--plugin={long}");
    for line in [
        &[long.as_str()][..],
        &["ports", &long],
        &["ports", &option],
        &["ports", "--port", &long],
        &["ports", "--network", &option],
        &["reconcile", &pair],
        &["reconcile", "--grace", &long],
        &["ports", "--cache-dir", &long],
        &["lint", &long],
        &["add", &long, "pod"],
        &["add", "/nonexistent", "pod", "--arg", &long],
        &["add", "/nonexistent", "pod", "--capability", &long],
        &["status", &option],
        &["gc", "podnet", "--valid", &long],
    ] {
        let output = run("cnictl", line);
        assert!(!output.status.success(), "{line:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.len() < 3000, "{}: {}", said.len(), &said[..3000]);
    }
}

/// A program that reads documents gets one, whatever is wrong.
#[test]
fn a_cache_that_cannot_be_listed_is_a_document_too() {
    let dir = std::env::temp_dir().join(format!("no-cache-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("results"), "").unwrap();
    let place = dir.display().to_string();
    for command in [
        &["ports"][..],
        &["who", "80"],
        &["explain", "80"],
        &["limits"],
        &["sysctls"],
        &["reconcile"],
        &["gc"],
    ] {
        let line = [command, &["--json", "--cache-dir", &place]].concat();
        let output = run("cnictl", &line);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&document["schema"], &document["error"]["code"]),
            (&1.into(), &5.into()),
            "{document}"
        );
        let msg = document["error"]["msg"].as_str().unwrap();
        assert!(msg.contains(&place), "{msg}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_plugin_alone_answers_what_the_reference_s_does_whatever_its_arguments() {
    for plugin in PLUGINS {
        for line in [&[][..], &["--version"], &["list"]] {
            let output = run(plugin, line);
            assert_eq!(output.status.code(), Some(0));
            let said = String::from_utf8(output.stderr).unwrap();
            let about = format!("CNI {plugin} plugin version ");
            assert!(said.starts_with(&about), "{said}");
        }
    }
}

#[test]
fn arguments_do_not_matter_to_the_protocol() {
    let mut command = Command::new(binary("portmap"));
    command
        .arg("list")
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::null());
    let said = stdout(&command.output().unwrap());
    assert!(said.contains("supportedVersions"), "{said}");
}

/// What they have in common with the tool is a library; its command line is not in it.
#[test]
fn the_plugins_have_nothing_of_the_command_line_in_them() {
    let has_clap = |program: &str| {
        let bytes = std::fs::read(binary(program)).unwrap();
        bytes.windows(12).any(|word| word == b"clap_builder")
    };
    assert!(has_clap("cnictl"));
    for plugin in PLUGINS {
        assert!(!has_clap(plugin), "{plugin}");
    }
}

#[test]
fn completions_are_what_the_shells_understand() {
    let script = stdout(&run("cnictl", &["completions", "bash"]));
    let test = format!(
        "{script}\n\
         COMP_WORDS=(cnictl rec) COMP_CWORD=1 && _cnictl cnictl rec cnictl && echo \"${{COMPREPLY[@]}}\"\n\
         COMP_WORDS=(cnictl reconcile --dr) COMP_CWORD=2 && _cnictl cnictl --dr reconcile && \
         echo \"${{COMPREPLY[@]}}\""
    );
    let bash = Command::new("bash").args(["-c", &test]).output().unwrap();
    assert_eq!(stdout(&bash), "reconcile\n--dry-run\n");
    let fish = stdout(&run("cnictl", &["completions", "fish"]));
    assert!(fish.contains("-l dry-run"), "{fish}");
    assert!(stdout(&run("cnictl", &["completions", "zsh"])).starts_with("#compdef"));
}
