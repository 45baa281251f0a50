//! Records docs/pictures/recording.cast (asciicast 2): what `cnictl` prints on a node of its own after a
//! firewall's flush and under its policy. `make pictures` draws it.
//!
//! What is printed is what the programs print, as long after the command as they took. The typing is not:
//! each character takes [`TYPING`] seconds, and a reader has [`READING`] seconds after each command.

use std::env;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use serde_json::json;

/// As narrow as `cnictl ports` can be: a phone shows the picture at 360 pixels, and its text must be read.
const WIDTH: u32 = 70;
const HEIGHT: u32 = 23;
/// Seconds for a character, as somebody types.
const TYPING: f64 = 0.05;
/// Seconds before the first character and after a command's output.
const READING: f64 = 2.0;
/// Before each command; its number follows, up to the end of the line.
const MARK: char = '\u{1e}';

/// Before what is typed on an empty screen.
const CLEARS: &str = "clear; ";

/// What is typed, and what is run besides, unseen, until it has had its effect.
const STEPS: [(&str, &str); 7] = [
    ("cnictl ports", ""),
    ("nft flush ruleset", ""),
    ("cnictl ports", ""),
    (
        "cnictl follow &",
        "until grep -qs repaired .follow; do sleep 0.05; done",
    ),
    ("cnictl ports", ""),
    ("clear; iptables -P FORWARD DROP", ""),
    ("cnictl explain 8080/tcp --from 192.0.2.77", ""),
];

/// A container that serves port 80, and a client outside of the node.
const SETUP: &str = r#"
export COLUMNS=WIDTH
cp .root/packaging/examples/bridge.conflist /etc/cni/net.d/10-podnet.conflist
ip netns add web && ip netns add client
ip link set outside netns client && ip -n client link set outside up
ip -n client address add 192.0.2.77/24 dev outside
sysctl -qw net.ipv4.ip_forward=1
cnictl add podnet web --container-id web --publish 8080:80 > /dev/null
ip netns exec web python3 -m http.server 80 > /dev/null 2>&1 &
until ip netns exec web ss -Hltn sport = :80 | grep -q .; do sleep 0.05; done
"#;

fn main() -> ExitCode {
    match record() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to read it when stderr is closed.
            let _ = writeln!(io::stderr(), "record: {error}");
            ExitCode::FAILURE
        }
    }
}

fn record() -> io::Result<()> {
    let directory = env::temp_dir().join(format!("cni-record-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let played = play(&directory);
    // A leftover in the temporary directory harms nobody.
    let _ = fs::remove_dir_all(&directory);
    let path = root().join("docs/pictures/recording.cast");
    fs::write(path, Cast::of(&played?).text())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// What was printed, and how many seconds after the start.
type Printed = Vec<(f64, String)>;

fn play(directory: &Path) -> io::Result<Printed> {
    let mut shell = Command::new("unshare")
        .args(["--net", "--mount", "--fork", "--kill-child"])
        .args(["--propagation", "private", "bash", "-c"])
        .arg(script(directory)?)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let start = Instant::now();
    let mut printed = Printed::new();
    let mut bytes = [0; 65536];
    if let Some(stdout) = &mut shell.stdout {
        loop {
            let length = stdout.read(&mut bytes)?;
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if length == 0 {
                break;
            }
            printed.push((start.elapsed().as_secs_f64(), text));
        }
    }
    let status = shell.wait()?;
    match status.success() {
        true => Ok(printed),
        false => Err(io::Error::other(format!("{status}: {printed:?}"))),
    }
}

/// The node of the documentation's tests, the set-up, and the steps.
fn script(directory: &Path) -> io::Result<String> {
    let binaries = env::current_exe()?;
    let binaries = binaries.parent().unwrap_or(Path::new("."));
    let mut script = format!(
        "dir='{}' root='{}' binaries='{}' version={} kind=ours\n{}\n{}\n",
        directory.display(),
        root().canonicalize()?.display(),
        binaries.display(),
        env!("CARGO_PKG_VERSION"),
        include_str!("../../../namespaces/docs/node.sh"),
        SETUP.replace("WIDTH", &WIDTH.to_string()),
    );
    for (number, (typed, unseen)) in STEPS.iter().enumerate() {
        let run = match typed.strip_suffix('&') {
            Some(program) => format!("{program} > >(tee .follow) 2>&1 &"),
            None => typed.trim_start_matches(CLEARS).to_owned(),
        };
        script.push_str(&format!("printf '{MARK}{number}\\n'\n{run}\n{unseen}\n"));
    }
    Ok(script + &format!("printf '{MARK}\\n'\nkill $(jobs -p)\n"))
}

/// The recording: a line for its size, then one for each thing that appears.
struct Cast {
    lines: Vec<String>,
    /// Seconds from its beginning.
    now: f64,
}

impl Cast {
    fn of(printed: &Printed) -> Cast {
        let size = json!({"version": 2, "width": WIDTH, "height": HEIGHT});
        let mut cast = Cast {
            lines: vec![size.to_string()],
            now: 0.0,
        };
        let (mut then, mut has_begun) = (0.0, false);
        for (at, text) in printed {
            let mut parts = text.split(MARK);
            let output = parts.next().filter(|text| has_begun && !text.is_empty());
            if let Some(output) = output {
                cast.now += at - then;
                cast.output(output);
            }
            for part in parts {
                let (number, output) = part.split_once('\n').unwrap_or((part, ""));
                if has_begun {
                    cast.now += READING;
                }
                has_begun = true;
                if let Some((typed, _)) = number.parse().ok().and_then(|at: usize| STEPS.get(at)) {
                    cast.type_in(typed);
                }
                cast.output(output);
            }
            then = *at;
        }
        // The end stays for a while, too.
        cast.event("");
        cast
    }

    fn type_in(&mut self, line: &str) {
        let typed = line.strip_prefix(CLEARS);
        if typed.is_some() {
            self.event("\u{1b}[2J\u{1b}[H");
        }
        self.event("# ");
        for character in typed.unwrap_or(line).chars() {
            self.now += TYPING;
            self.event(&character.to_string());
        }
        self.now += TYPING;
        self.event("\r\n");
    }

    fn output(&mut self, text: &str) {
        if !text.is_empty() {
            self.event(&text.replace('\n', "\r\n"));
        }
    }

    fn event(&mut self, text: &str) {
        let at = (self.now * 1000.0).round() / 1000.0;
        self.lines.push(json!([at, "o", text]).to_string());
    }

    fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }
}
