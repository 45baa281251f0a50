#!/usr/bin/python3
"""Runs inside a Debian that systemd has booted: two pods with host ports, one for each backend of portmap;
firewalls that are started, stopped and reloaded; and how long each host port was dead.

Prints one JSON document, {"rows": [{"situation", "backend", "deadMilliseconds", "served"}]}, to the
file that it is given."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

NODE = "192.0.2.1"
PORTS = {"iptables": 8080, "nftables": 8081}
# Between two connections, and how long one may take.
STEP = 0.01
PATIENCE = 0.2
# A host port is well when it has been served for so long; that is longer than any firewall takes for
# another change after its command has ended.
QUIET = 3.0

NFTABLES_CONF = """flush ruleset
table inet filter { chain input { type filter hook input priority filter; } }
"""


def run(line, check=True):
    done = subprocess.run(line, shell=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if check and done.returncode != 0:
        raise RuntimeError(f"{line}: exit code {done.returncode}: {done.stdout}")
    return done.stdout


def serve(pod):
    """One byte for each connection, in the namespace of a pod."""
    subprocess.Popen(["ip", "netns", "exec", pod, sys.executable, "-c", """
import socket
server = socket.create_server(("0.0.0.0", 80), backlog=128)
while True:
    connection, _ = server.accept()
    connection.sendall(b"1")
    connection.close()
"""])


def answers(port):
    try:
        with socket.create_connection((NODE, port), PATIENCE) as connection:
            connection.settimeout(PATIENCE)
            return connection.recv(1) == b"1"
    except OSError:
        return False


class Prober(threading.Thread):
    """Connects to a host port again and again."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.reset()
        self.start()

    def reset(self):
        self.longest = 0.0
        self.dead_since = None
        self.served_since = None

    def run(self):
        while True:
            begun = time.monotonic()
            is_served = answers(self.port)
            now = time.monotonic()
            if is_served:
                if self.dead_since is not None:
                    self.longest = max(self.longest, now - self.dead_since)
                    self.dead_since = None
                self.served_since = self.served_since or now
            else:
                self.dead_since = self.dead_since or begun
                self.served_since = None
            time.sleep(STEP)

    def is_well(self, now):
        return self.served_since is not None and now - self.served_since >= QUIET


def attach():
    run("mkdir -p /etc/cni/net.d && ip link set lo up")
    run(f"ip link add outside type dummy && ip address add {NODE}/24 dev outside && ip link set outside up")
    run("sysctl -q -w net.ipv4.ip_forward=1")
    for number, (backend, port) in enumerate(PORTS.items()):
        subnet = f"10.88.{number}"
        chain = [
            {"type": "veth", "addresses": [{"address": f"{subnet}.2/24", "gateway": f"{subnet}.1"}]},
            {"type": "portmap", "backend": backend, "capabilities": {"portMappings": True}},
        ]
        conf = {"cniVersion": "1.0.0", "name": backend, "plugins": chain}
        with open(f"/etc/cni/net.d/{number}-{backend}.conflist", "w") as file:
            json.dump(conf, file)
        pod = f"pod-{backend}"
        run(f"ip netns add {pod}")
        run(f"CNI_PATH=/opt/cni/bin cnictl add {backend} {pod} --container-id {pod} --publish {port}:80")
        serve(pod)


def measure(rows, probers, situation, line):
    """Does something, waits until all is well, and notes the longest time that each port was dead."""
    for prober in probers.values():
        prober.reset()
    run(line)
    ended = time.monotonic()
    while time.monotonic() < ended + 20:
        now = time.monotonic()
        if now >= ended + QUIET and all(prober.is_well(now) for prober in probers.values()):
            break
        time.sleep(0.05)
    note(rows, probers, situation)


def note(rows, probers, situation):
    now = time.monotonic()
    for backend, prober in probers.items():
        rows.append({
            "situation": situation,
            "backend": backend,
            "deadMilliseconds": round(1000 * max(prober.longest, now - (prober.dead_since or now))),
            "served": prober.is_well(now),
        })


def situations(firewall):
    unit = "systemctl {} firewalld"
    return [
        (f"firewalld ({firewall}) starts", unit.format("start")),
        (f"firewalld ({firewall}) restarts", unit.format("restart")),
        (f"firewalld ({firewall}): systemctl reload", unit.format("reload")),
        (f"firewalld ({firewall}): firewall-cmd --reload", "firewall-cmd --reload"),
        (f"firewalld ({firewall}): firewall-cmd --complete-reload", "firewall-cmd --complete-reload"),
        (f"firewalld ({firewall}) stops", unit.format("stop")),
    ]


OTHERS = [
    ("nftables.service starts", "systemctl start nftables"),
    ("nftables.service restarts", "systemctl restart nftables"),
    ("nftables.service is reloaded", "systemctl reload nftables"),
    ("nftables.service stops", "systemctl stop nftables"),
    ("nft -f with flush ruleset", "nft -f /etc/nftables.conf"),
    ("iptables-restore without --noflush", "iptables-save | grep -v CNI | iptables-restore"),
    ("iptables -t nat -F; iptables -t nat -X", "iptables -t nat -F; iptables -t nat -X"),
]


def use(firewall):
    run(f"sed -i 's/^FirewallBackend=.*/FirewallBackend={firewall}/' /etc/firewalld/firewalld.conf")


def main():
    with open("/etc/nftables.conf", "w") as file:
        file.write(NFTABLES_CONF)
    # Before the pods: their namespaces have to be seen from the unit's sandbox.
    run("systemctl start cni-follow")
    attach()
    rows = []
    probers = {backend: Prober(port) for backend, port in PORTS.items()}
    for firewall in ["nftables", "iptables"]:
        use(firewall)
        for situation, line in situations(firewall):
            measure(rows, probers, situation, line)
    for situation, line in OTHERS:
        measure(rows, probers, situation, line)
    # Without it the ports stay dead: what is measured is its work.
    run("systemctl stop cni-follow")
    for prober in probers.values():
        prober.reset()
    run("nft flush ruleset")
    time.sleep(QUIET)
    note(rows, probers, "without follow")
    document = {
        "rows": rows,
        "journal": run("journalctl -u cni-follow -o cat --no-pager", check=False),
        "state": run("systemctl show cni-follow -p Result,NRestarts,ExecMainStatus", check=False),
    }
    return document


if __name__ == "__main__":
    try:
        answer = main()
    except Exception as error:  # pylint: disable=broad-except
        answer = {"error": repr(error), "journal": run("journalctl -b --no-pager | tail -200", check=False)}
    with open(sys.argv[1] + ".part", "w") as out:
        json.dump(answer, out)
    os.rename(sys.argv[1] + ".part", sys.argv[1])
    os.system("systemctl poweroff")
