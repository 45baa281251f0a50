//! `cnictl follow` as the tests run it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use sandbox::wait_until;

use super::LONG;
use crate::operators::place::Place;

/// `cnictl follow` on a node.
pub struct Follower {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    manager: UnixDatagram,
    socket: PathBuf,
}

impl Follower {
    /// Starts it, and waits until it is ready.
    #[track_caller]
    pub fn start(place: &Place, words: &[&str]) -> Follower {
        Follower::start_by(place, &[], words)
    }

    /// The same by a program that runs it.
    #[track_caller]
    pub fn start_by(place: &Place, runner: &[&str], words: &[&str]) -> Follower {
        let socket = place.directory.join("notify");
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(LONG)).unwrap();
        let call = place
            .tool(&[&["follow"], words].concat())
            .env("NOTIFY_SOCKET", &socket.display().to_string());
        let call = match runner {
            [] => call,
            runner => call.under(runner),
        };
        let mut command = call.command(&place.net.host);
        command.stdin(Stdio::null()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (pipe, to) = (child.stdout.take().unwrap(), Arc::clone(&lines));
        thread::spawn(move || {
            for line in BufReader::new(pipe).lines() {
                to.lock().unwrap().push(line.unwrap());
            }
        });
        let follower = Follower {
            child,
            lines,
            manager,
            socket,
        };
        assert_eq!(follower.told(), "READY=1");
        follower
    }

    /// What it says to its service manager next.
    #[track_caller]
    pub fn told(&self) -> String {
        let mut bytes = [0; 100];
        let length = self.manager.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
    }

    /// Waits until it has reported so many lines, and gives the last of them.
    #[track_caller]
    pub fn line(&self, number: usize) -> String {
        let came = wait_until(LONG, || self.lines().len() >= number);
        let lines = self.lines();
        assert!(came && lines.len() == number, "{lines:?}");
        lines[number - 1].clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Whether it waits for notifications and signals without an end: poll(2) with a timeout of -1.
    pub fn sleeps(&self) -> bool {
        let path = format!("/proc/{}/syscall", self.child.id());
        let call = fs::read_to_string(path).unwrap();
        let words: Vec<&str> = call.split(' ').collect();
        matches!(words[..], [_, _, "0x3", timeout, ..] if timeout.ends_with("ffffffff"))
    }

    /// Ends it as a service manager does.
    #[track_caller]
    pub fn end(mut self) -> Vec<String> {
        self.signal("TERM");
        assert_eq!(self.told(), "STOPPING=1");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        self.lines()
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.socket);
    }
}
