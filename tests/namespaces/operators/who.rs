//! `who`.

use std::process::Child;
use std::time::Duration;

use sandbox::wait::wait_until;

use super::place::{Backend, Place, on_every_backend};

on_every_backend!(the_owner_of_a_port_is_named);

fn the_owner_of_a_port_is_named(backend: Backend) {
    let place = Place::new(backend, 1);
    place.attach_all("portmap");
    let said = place.run("portmap", &["who", "8000/tcp"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let owner = format!("net1/{}/eth0", place.id(0));
    assert!(
        said.stdout.contains(&owner) && said.stdout.contains("10.22.0.2:80"),
        "{said:?}"
    );
    let said = place.run("portmap", &["who", "8000/udp"]);
    assert_eq!(
        (said.code, said.stdout.as_str()),
        (Some(1), "nobody has port 8000/udp\n")
    );
}

/// Killed and reaped by Drop.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_process_of_the_node_that_listens_is_named() {
    let place = Place::new(Backend::Nftables, 1);
    let script = "import socket,time\n\
                  t=socket.create_server(('127.0.0.1',7000))\n\
                  u=socket.socket(socket.AF_INET6,socket.SOCK_DGRAM);u.bind(('::1',7000))\n\
                  time.sleep(600)";
    let mut command = place.net.host.command("python3");
    let running = Running(command.args(["-c", script]).spawn().unwrap());
    let listens = || place.run("portmap", &["who", "7000/udp"]).code == Some(0);
    assert!(wait_until(Duration::from_secs(60), listens));
    let said = place.run("portmap", &["who", "7000", "--json"]);
    let document = said.json();
    let listeners = document["listeners"].as_array().unwrap();
    let told: Vec<String> = listeners
        .iter()
        .map(|one| format!("{} {}", one["address"], one["protocol"]))
        .collect();
    assert_eq!(
        told,
        ["\"127.0.0.1\" \"tcp\"", "\"::1\" \"udp\""],
        "{said:?}"
    );
    assert!(
        listeners.iter().all(|one| one["pid"] == running.0.id()),
        "{said:?}"
    );
}

#[test]
fn a_port_that_is_none_is_refused() {
    let place = Place::new(Backend::Nftables, 1);
    for port in ["0", "65536", "http", "80/icmp"] {
        let said = place.run("portmap", &["who", port]);
        assert_eq!(said.code, Some(2), "{said:?}");
        assert!(said.stderr.contains(port), "{said:?}");
    }
}
