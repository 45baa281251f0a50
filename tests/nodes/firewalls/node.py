#!/usr/bin/python3
"""Runs inside a Debian that systemd has booted: two pods with host ports, one for each backend of portmap;
firewalls that are started, stopped and reloaded; and how long each host port was dead.

Prints one JSON document, {"rows": [{"situation", "backend", "wholeMilliseconds", "deadMilliseconds",
"served"}]}, to the file that it is given: the longest time that a port was dead, and the longest time
that it was after the last change that a firewall made."""

import ctypes
import json
import os
import socket
import struct
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
table inet filter {
    chain input {
        type filter hook input priority filter
    }
}
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


def enter(namespace):
    """Takes the calling thread into a network namespace."""
    with open(f"/run/netns/{namespace}", encoding="ascii") as file:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(file.fileno(), 0x40000000) != 0:
            raise OSError(ctypes.get_errno(), f"setns {namespace}")


class Monitor(threading.Thread):
    """Notes when others than the tool changed nf_tables, by the ends of their transactions."""

    NEWGEN = 10 << 8 | 15
    PROC_NAME = 3

    def __init__(self):
        super().__init__(daemon=True)
        self.times = []
        # NETLINK_NETFILTER; NETLINK_ADD_MEMBERSHIP of NFNLGRP_NFTABLES; much may wait (SO_RCVBUFFORCE).
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)
        self.socket.bind((0, 0))
        self.socket.setsockopt(270, 1, 7)
        self.start()

    def run(self):
        while True:
            data = self.socket.recv(1 << 20)
            now = time.monotonic()
            while len(data) >= 16:
                length, kind = struct.unpack_from("=IH", data)
                if kind == self.NEWGEN and self.process(data[20:length]) not in ("cnictl", "portmap"):
                    self.times.append(now)
                data = data[(length + 3) & ~3:]

    def process(self, attributes):
        while len(attributes) >= 4:
            length, kind = struct.unpack_from("=HH", attributes)
            if kind == self.PROC_NAME:
                return attributes[4:length].rstrip(b"\0").decode()
            attributes = attributes[(length + 3) & ~3:]
        return ""


class Prober(threading.Thread):
    """Connects to a host port from outside again and again."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port = port
        self.reset()
        self.start()

    def reset(self):
        # From when to when it was dead.
        self.dead = []
        self.dead_since = None
        self.served_since = None

    def run(self):
        enter("outside")
        while True:
            begun = time.monotonic()
            is_served = answers(self.port)
            now = time.monotonic()
            if is_served:
                if self.dead_since is not None:
                    self.dead.append((self.dead_since, begun))
                    self.dead_since = None
                self.served_since = self.served_since or now
            else:
                self.dead_since = self.dead_since or begun
                self.served_since = None
            time.sleep(STEP)

    def is_well(self, now):
        return self.served_since is not None and now - self.served_since >= QUIET

    def longest(self, now, changes):
        """The longest time that it was dead, and that it was dead after the last change."""
        whole = after = 0.0
        for since, until in self.dead + ([(self.dead_since, now)] if self.dead_since else []):
            last = max([since] + [change for change in changes if change <= until])
            whole, after = max(whole, until - since), max(after, until - last)
        return whole, after


def attach():
    run("mkdir -p /etc/cni/net.d && ip link set lo up")
    run("ip netns add outside && ip link add up0 type veth peer name eth0 netns outside")
    run(f"ip address add {NODE}/24 dev up0 && ip link set up0 up")
    run("ip -n outside address add 192.0.2.2/24 dev eth0 && ip -n outside link set eth0 up")
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


def measure(rows, monitor, probers, situation, line):
    """Does something, waits until all is well, and notes the longest time that each port was dead."""
    monitor.times.clear()
    for prober in probers.values():
        prober.reset()
    run(line)
    ended = time.monotonic()
    while time.monotonic() < ended + 20:
        now = time.monotonic()
        if now >= ended + QUIET and all(prober.is_well(now) for prober in probers.values()):
            break
        time.sleep(0.05)
    note(rows, monitor, probers, situation)


def note(rows, monitor, probers, situation):
    now = time.monotonic()
    for backend, prober in probers.items():
        whole, after = prober.longest(now, list(monitor.times))
        rows.append({
            "situation": situation,
            "backend": backend,
            "wholeMilliseconds": round(1000 * whole),
            "deadMilliseconds": round(1000 * after),
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
    run("systemctl stop firewalld")
    # Before the pods: their namespaces have to be seen from the unit's sandbox.
    run("systemctl start cni-follow")
    attach()
    rows, monitor = [], Monitor()
    probers = {backend: Prober(port) for backend, port in PORTS.items()}
    for firewall in ["nftables", "iptables"]:
        use(firewall)
        for situation, line in situations(firewall):
            measure(rows, monitor, probers, situation, line)
    for situation, line in OTHERS:
        measure(rows, monitor, probers, situation, line)
    # Without it the ports stay dead: what is measured is its work.
    run("systemctl stop cni-follow")
    for prober in probers.values():
        prober.reset()
    run("nft flush ruleset")
    time.sleep(QUIET)
    note(rows, monitor, probers, "without follow")
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
