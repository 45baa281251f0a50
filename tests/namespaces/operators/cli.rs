//! What all plugins' command lines share.

use std::process::{Command, Output, Stdio};

use sandbox::plugin::binary;

fn run(plugin: &str, line: &[&str]) -> Output {
    let mut command = Command::new(binary(plugin));
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
fn help_names_every_command_and_fits_into_80_columns() {
    for plugin in PLUGINS {
        let help = stdout(&run(plugin, &["--help"]));
        let mut pages = vec![help.clone()];
        for command in [
            "list",
            "reconcile",
            "gc",
            "install",
            "uninstall",
            "completions",
        ] {
            assert!(help.contains(&format!("\n  {command} ")), "{help}");
            let page = stdout(&run(plugin, &[command, "--help"]));
            assert!(
                page.contains(&format!("usage: {plugin} {command}")),
                "{page}"
            );
            pages.push(page);
        }
        for line in pages.iter().flat_map(|page| page.lines()) {
            assert!(line.len() <= 80, "{line}");
        }
    }
}

#[test]
fn the_version_is_told() {
    for plugin in PLUGINS {
        let version = stdout(&run(plugin, &["--version"]));
        assert_eq!(version, format!("{plugin} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn what_makes_no_sense_is_refused_on_stderr() {
    for line in [
        &["lst"][..],
        &["list", "--jsn"],
        &["list", "x"],
        &["gc", "--grace", "x"],
    ] {
        let output = run("portmap", line);
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(2), 0),
            "{output:?}"
        );
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("portmap --help"), "{said}");
    }
}

#[test]
fn without_arguments_the_answer_is_the_reference_s() {
    let output = run("portmap", &[]);
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("CNI portmap plugin version "), "{said}");
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

#[test]
fn completions_are_what_the_shells_understand() {
    for plugin in PLUGINS {
        let script = stdout(&run(plugin, &["completions", "bash"]));
        let test = format!(
            "{script}\nCOMP_WORDS=({plugin} rec) COMP_CWORD=1 && _{plugin} && echo \"${{COMPREPLY[@]}}\"\n\
             COMP_WORDS=({plugin} reconcile --dr) COMP_CWORD=2 && _{plugin} && echo \"${{COMPREPLY[@]}}\""
        );
        let bash = Command::new("bash").args(["-c", &test]).output().unwrap();
        assert_eq!(stdout(&bash), "reconcile\n--dry-run\n");
        let fish = stdout(&run(plugin, &["completions", "fish"]));
        assert!(fish.contains("-l dry-run"), "{fish}");
        assert!(stdout(&run(plugin, &["completions", "zsh"])).starts_with("#compdef"));
    }
    assert_eq!(
        run("portmap", &["completions", "sh"]).status.code(),
        Some(2)
    );
}
