//! Plugins that record their requests and answer from a script.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// `$dir/next` is the number of the next call; `N.who`, `N.stdout` and `N.rc` are its script,
/// `N.called`, `N.env` and `N.stdin` what was recorded. A plugin whose turn is scripted for
/// `host-local` calls that first, the way main plugins call theirs.
const PLUGIN: &str = r#"#!/bin/sh
dir=@DIR@
n=$(cat $dir/next)
cat > $dir/$n.stdin
if [ "$(cat $dir/$n.who)" = host-local ] && [ ${0##*/} != host-local ]; then
    cp $dir/$n.stdin $dir/handed-on
    $dir/bin/host-local < $dir/handed-on > /dev/null || exit 99
    n=$((n + 1))
    cp $dir/handed-on $dir/$n.stdin
fi
echo $((n + 1)) > $dir/next
env | grep ^CNI_ | sort > $dir/$n.env
echo ${0##*/} > $dir/$n.called
cat $dir/$n.stdout
exit $(cat $dir/$n.rc)
"#;

/// One call as it was recorded.
#[derive(Debug, PartialEq)]
pub struct Call {
    pub plugin: String,
    /// `CNI_*` variables, sorted, as `KEY=VALUE`.
    pub env: Vec<String>,
    pub stdin: String,
}

impl Call {
    pub fn verb(&self) -> &str {
        self.env
            .iter()
            .find_map(|pair| pair.strip_prefix("CNI_COMMAND="))
            .unwrap()
    }

    pub fn config(&self) -> Value {
        serde_json::from_str(&self.stdin).unwrap()
    }
}

/// A directory with plugins in `bin`, configurations in `conf` and a cache in `cache`.
pub struct Recorder {
    pub dir: PathBuf,
    scripted: usize,
}

impl Recorder {
    /// An empty one; `name` is the name of the test.
    pub fn new(name: &str, plugins: &[&str]) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&dir);
        for sub in ["bin", "conf"] {
            fs::create_dir_all(dir.join(sub)).unwrap();
        }
        fs::write(dir.join("next"), "0").unwrap();
        for plugin in plugins {
            let file = dir.join("bin").join(plugin);
            fs::write(&file, PLUGIN.replace("@DIR@", &dir.display().to_string())).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { dir, scripted: 0 }
    }

    pub fn config(&self, file: &str, text: &str) {
        let file = self.dir.join("conf").join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Scripts the next call: whose it is, the exit code and stdout.
    pub fn answer(&mut self, plugin: &str, code: u64, stdout: &str) {
        let n = self.scripted;
        for (what, text) in [
            ("who", plugin),
            ("rc", &code.to_string()),
            ("stdout", stdout),
        ] {
            fs::write(self.dir.join(format!("{n}.{what}")), text).unwrap();
        }
        self.scripted += 1;
    }

    /// The runner, with directories and nothing else from the environment.
    pub fn cnictl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cnictl"));
        for name in ["CNI_ARGS", "CNI_IFNAME", "CAP_ARGS"] {
            command.env_remove(name);
        }
        command
            .env("CNI_PATH", self.dir.join("bin"))
            .env("NETCONFPATH", self.dir.join("conf"));
        command
            .args(args)
            .arg("--cache-dir")
            .arg(self.dir.join("cache"));
        command
    }

    /// Runs it; stdout on success.
    pub fn run(&self, args: &[&str]) -> Result<String, String> {
        outcome(self.cnictl(args).output().unwrap())
    }

    /// What was recorded so far.
    pub fn calls(&self) -> Vec<Call> {
        let next: usize = self.read("next").trim().parse().unwrap();
        let call = |n: usize| Call {
            plugin: self.read(&format!("{n}.called")).trim().to_owned(),
            env: self
                .read(&format!("{n}.env"))
                .lines()
                .map(str::to_owned)
                .collect(),
            stdin: self.read(&format!("{n}.stdin")),
        };
        (0..next).map(call).collect()
    }

    /// What was recorded so far, as `VERB plugin` each.
    pub fn summary(&self) -> Vec<String> {
        self.calls()
            .iter()
            .map(|call| format!("{} {}", call.verb(), call.plugin))
            .collect()
    }

    pub fn cache_file(&self, name: &str) -> PathBuf {
        self.dir.join("cache/results").join(name)
    }

    fn read(&self, name: &str) -> String {
        let file = self.dir.join(name);
        fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }
}

/// stdout on success, stderr on failure.
pub fn outcome(output: Output) -> Result<String, String> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

/// A result.
pub const RESULT: &str = r#"{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.2/24"}]}"#;
/// A plugin's error.
pub const BUSY: &str =
    r#"{"cniVersion":"1.0.0","code":11,"msg":"not now","details":"the lock is held"}"#;

/// A chain of `one`, `two` and `three` in a version; `two` has the capability mac.
pub fn chain(test: &str, version: &str) -> Recorder {
    let recorder = Recorder::new(test, &["one", "two", "three"]);
    let list = json!({
        "name": "net", "cniVersion": version,
        "plugins": [{"type": "one"}, {"type": "two", "capabilities": {"mac": true}}, {"type": "three"}],
    });
    recorder.config("net.conflist", &list.to_string());
    recorder
}

/// Scripts the same answer for several plugins.
pub fn answers(recorder: &mut Recorder, code: u64, stdout: &str, plugins: &[&str]) {
    for plugin in plugins {
        recorder.answer(plugin, code, stdout);
    }
}
