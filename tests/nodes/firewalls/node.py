#!/usr/bin/python3
"""Runs inside a Debian that systemd has booted, with `cnictl follow` as the package's unit runs it.

Says in one JSON document, in the file that it is given, what /etc/role wants to know:
firewalls, legacy, ufw: for each thing that a firewall does, and each backend of portmap, how long a host port was
dead, and how long after the last change that a firewall made;
cost: what `cnictl follow` takes of a processor, by the kernel's counters."""

import ctypes
import errno
import json
import os
import re
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
# For what it costs.
# `--grace` of follow: so long after a change it looks whether the cache has more.
GRACE = 10.0
PODS = 100
CHANGES = 10_000

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


class LegacyMonitor(threading.Thread):
    """The same for the tables of iptables-legacy, of whose changes the kernel says nothing: one after which a table
    has no rules of portmap is not the tool's."""

    PAUSE = 0.005
    # IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES; struct ipt_getinfo, and struct ipt_get_entries before the entries.
    GET_INFO, GET_ENTRIES = 64, 65
    INFO, SIZE, BEFORE = 84, 80, 40
    # struct ipt_entry: where the next one is, and what it counts.
    NEXT, COUNTERS, END = 90, 96, 112

    def __init__(self, times):
        super().__init__(daemon=True)
        self.times = times
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.start()

    def run(self):
        before = {}
        while True:
            with open("/proc/net/ip_tables_names", encoding="ascii") as file:
                names = file.read().split()
            for name in {"filter", "nat"}.intersection(names):
                entries = self.entries(name)
                if entries != before.get(name) and b"CNI-DN-" not in entries:
                    self.times.append(time.monotonic())
                before[name] = entries
            time.sleep(self.PAUSE)

    def entries(self, table):
        """Those of a table, without what they count."""
        while True:
            info = self.get(self.GET_INFO, table.encode().ljust(self.INFO, b"\0"))
            size = info[self.SIZE:]
            [length] = struct.unpack("=I", size)
            request = (table.encode().ljust(32, b"\0") + size).ljust(self.BEFORE + length, b"\0")
            answer = self.get(self.GET_ENTRIES, request)
            # Nothing where it has got another size in between.
            if answer:
                break
        parts, rest = [], answer[self.BEFORE:]
        while rest:
            [length] = struct.unpack_from("=H", rest, self.NEXT)
            parts += [rest[:self.COUNTERS], rest[self.END:length]]
            rest = rest[length:]
        return b"".join(parts)

    def get(self, option, request):
        buffer = ctypes.create_string_buffer(request, len(request))
        length = ctypes.c_uint(len(request))
        if self.libc.getsockopt(self.socket.fileno(), 0, option, buffer, ctypes.byref(length)) == 0:
            return buffer.raw
        number = ctypes.get_errno()
        if number == errno.EAGAIN:
            return b""
        raise OSError(number, f"getsockopt {option}")


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


def node():
    run("mkdir -p /etc/cni/net.d && ip link set lo up")
    run("ip netns add outside && ip link add up0 type veth peer name eth0 netns outside")
    run(f"ip address add {NODE}/24 dev up0 && ip link set up0 up")
    run("ip -n outside address add 192.0.2.2/24 dev eth0 && ip -n outside link set eth0 up")
    run("sysctl -q -w net.ipv4.ip_forward=1")


def network(name, subnet, *others):
    portmap = {"type": "portmap", "backend": name, "capabilities": {"portMappings": True}}
    conf = {"cniVersion": "1.0.0", "name": name, "plugins": [{"type": "veth", **subnet}, portmap, *others]}
    with open(f"/etc/cni/net.d/10-{name}.conflist", "w", encoding="ascii") as file:
        json.dump(conf, file)


def add(name, pod, port):
    run(f"ip netns add {pod}")
    run(f"CNI_PATH=/opt/cni/bin cnictl add {name} {pod} --container-id {pod} --publish {port}:80")


def attach():
    """A pod for each backend, whose page is seen from outside through its host port."""
    node()
    for number, (backend, port) in enumerate(PORTS.items()):
        subnet = f"10.88.{number}"
        network(backend, {"addresses": [{"address": f"{subnet}.2/24", "gateway": f"{subnet}.1"}]})
        add(backend, f"pod-{backend}", port)
        serve(f"pod-{backend}")


class Firewalls:
    """What firewalls do, and how long host ports were dead."""

    def __init__(self):
        self.rows = []
        self.monitor = Monitor()
        LegacyMonitor(self.monitor.times)
        self.probers = {backend: Prober(port) for backend, port in PORTS.items()}

    def measure(self, situation, line, is_served=True):
        """Does something, and notes the longest time that each port was dead. It waits until all is well,
        or as long as is needed to be sure that it does not become so."""
        self.monitor.times.clear()
        for prober in self.probers.values():
            prober.reset()
        stalled = stalls()
        run(line)
        ended = time.monotonic()
        while time.monotonic() < ended + (20 if is_served else QUIET):
            now = time.monotonic()
            if now >= ended + QUIET and all(prober.is_well(now) for prober in self.probers.values()):
                break
            time.sleep(0.05)
        now = time.monotonic()
        for backend, prober in self.probers.items():
            whole, after = prober.longest(now, list(self.monitor.times))
            self.rows.append({
                "situation": situation,
                "backend": backend,
                "expected": is_served,
                "served": prober.is_well(now),
                "wholeMilliseconds": round(1000 * whole),
                "deadMilliseconds": round(1000 * after),
                # How long it wanted a processor and did not get one.
                "stalledMilliseconds": round((stalls() - stalled) / 1000),
            })

    def without_follow(self, line):
        """What is measured is its work: without it the ports stay dead."""
        run("systemctl stop cni-follow")
        self.measure("without cnictl follow", line, is_served=False)


def group(file):
    with open(f"/sys/fs/cgroup/system.slice/cni-follow.service/{file}", encoding="ascii") as lines:
        return [line.split() for line in lines]


def stalls():
    """Microseconds in which a process of the service waited for a processor (PSI)."""
    if not os.path.exists("/proc/pressure/cpu"):
        return 0
    if run("systemctl is-active cni-follow", check=False).strip() != "active":
        return 0
    return int(group("cpu.pressure")[0][-1].removeprefix("total="))


def used():
    """Microseconds of processors that the service has used, its programs included."""
    return int(group("cpu.stat")[0][1])


def wake_ups():
    process = run("systemctl show cni-follow -p MainPID --value").strip()
    with open(f"/proc/{process}/status", encoding="ascii") as lines:
        [line] = [line for line in lines if line.startswith("voluntary_ctxt_switches:")]
    return int(line.split()[1])


def session():
    """Runs the commands of docs/operations.md, and compares what they print: `…` is anything."""
    with open("/etc/session", encoding="utf-8") as file:
        steps = re.split("^# ", file.read(), flags=re.MULTILINE)
    for step in steps[1:]:
        line, _, expected = step.partition("\n")
        pattern = ".*".join(re.escape(part) for part in expected.split("…"))
        deadline = time.monotonic() + 20
        while not re.fullmatch(pattern, printed := run(line), re.DOTALL):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{line} prints {printed!r}")
            time.sleep(0.1)


def empty_rules():
    """What netfilter-persistent loads."""
    for version in "46":
        with open(f"/etc/iptables/rules.v{version}", "w", encoding="ascii") as file:
            file.write("*filter\nCOMMIT\n*nat\nCOMMIT\n")


def firewalls():
    with open("/etc/nftables.conf", "w", encoding="ascii") as file:
        file.write(NFTABLES_CONF)
    empty_rules()
    run("systemctl stop firewalld netfilter-persistent")
    # As on a node: namespaces of pods that come later have to be seen from the unit's sandbox.
    run("systemctl start cni-follow")
    attach()
    all_of_it = Firewalls()
    for backend in ["nftables", "iptables"]:
        run(f"sed -i 's/^FirewallBackend=.*/FirewallBackend={backend}/' /etc/firewalld/firewalld.conf")
        zone = "for link in $(ls /sys/class/net); do firewall-cmd -q --zone=drop --change-interface=$link; done"
        for what, line in [
            ("starts", "systemctl start firewalld"),
            ("restarts", "systemctl restart firewalld"),
            ("is reloaded", "systemctl reload firewalld"),
            ("firewall-cmd --reload", "firewall-cmd --reload"),
            ("firewall-cmd --complete-reload", "firewall-cmd --complete-reload"),
            ("has all links in the zone drop", zone),
            ("firewall-cmd --reload, with the zone", f"{zone}; firewall-cmd --reload"),
            ("stops", "systemctl stop firewalld"),
        ]:
            all_of_it.measure(f"firewalld ({backend}) {what}", line)
    for situation, line in [
        ("nftables.service starts", "systemctl start nftables"),
        ("nftables.service restarts", "systemctl restart nftables"),
        ("nftables.service is reloaded", "systemctl reload nftables"),
        ("nftables.service stops", "systemctl stop nftables"),
        ("nft -f with flush ruleset", "nft -f /etc/nftables.conf"),
        ("netfilter-persistent.service starts", "systemctl start netfilter-persistent"),
        ("netfilter-persistent.service restarts", "systemctl restart netfilter-persistent"),
        ("netfilter-persistent reload", "netfilter-persistent reload"),
        ("netfilter-persistent flush", "netfilter-persistent flush"),
        ("netfilter-persistent save, then reload", "netfilter-persistent save && netfilter-persistent reload"),
        ("netfilter-persistent.service stops", "systemctl stop netfilter-persistent"),
        ("iptables-restore without --noflush", "iptables-save | grep -v CNI | iptables-restore"),
        ("iptables -t nat -F and -X", "iptables -t nat -F && iptables -t nat -X"),
    ]:
        all_of_it.measure(situation, line)
    session()
    all_of_it.without_follow("nft flush ruleset")
    return {"rows": all_of_it.rows}


def legacy():
    """What can differ where the programs are those of iptables-legacy."""
    for version in ["", "6"]:
        run(f"update-alternatives --set ip{version}tables /usr/sbin/ip{version}tables-legacy")
    empty_rules()
    run("systemctl stop firewalld netfilter-persistent")
    run("sed -i 's/^FirewallBackend=.*/FirewallBackend=iptables/' /etc/firewalld/firewalld.conf")
    run("systemctl start cni-follow")
    attach()
    all_of_it = Firewalls()
    for situation, line in [
        ("firewalld (iptables) starts", "systemctl start firewalld"),
        ("firewalld (iptables) restarts", "systemctl restart firewalld"),
        ("firewalld (iptables) firewall-cmd --complete-reload", "firewall-cmd --complete-reload"),
        ("firewalld (iptables) stops", "systemctl stop firewalld"),
        ("netfilter-persistent.service restarts", "systemctl restart netfilter-persistent"),
        ("iptables-restore without --noflush", "iptables-save | grep -v CNI | iptables-restore"),
        ("iptables -t nat -F and -X", "iptables -t nat -F && iptables -t nat -X"),
    ]:
        all_of_it.measure(situation, line)
    all_of_it.without_follow("iptables -t nat -F && nft delete table ip cni_portmap")
    return {"rows": all_of_it.rows}


def ufw():
    run("systemctl stop ufw")
    run("systemctl start cni-follow")
    attach()
    all_of_it = Firewalls()
    # The policy of ufw for what is forwarded, which host ports are.
    all_of_it.measure("ufw enable", "ufw --force enable", is_served=False)
    nat = "*nat\\n-F\\n:POSTROUTING ACCEPT [0:0]\\nCOMMIT\\n"
    for situation, line in [
        ("ufw route allow to the pods", "ufw route allow proto tcp to 10.88.0.0/16 port 80"),
        ("ufw reload", "ufw reload"),
        ("ufw reload, with -F in *nat of before.rules", f"printf '{nat}' >> /etc/ufw/before.rules && ufw reload"),
        ("ufw.service restarts", "systemctl restart ufw"),
        ("ufw.service stops", "systemctl stop ufw"),
        ("ufw.service starts", "systemctl start ufw"),
        ("ufw disable", "ufw disable"),
        ("ufw reset", "ufw --force reset"),
    ]:
        all_of_it.measure(situation, line)
    all_of_it.without_follow("iptables -t nat -F && nft delete table ip cni_portmap")
    return {"rows": all_of_it.rows}


def paced(count, do):
    """Does something so many times, 10,000 times a minute."""
    begun = time.monotonic()
    for number in range(count):
        do(number)
        time.sleep(max(0.0, begun + number * 60 / 10_000 - time.monotonic()))


def cost():
    from nftables import Nftables

    run("systemctl stop firewalld")
    node()
    # The other plugin's part: a limit.
    bandwidth = {"type": "bandwidth", "ingressRate": 10_000_000, "ingressBurst": 1_000_000}
    for number in range(PODS):
        subnet = f"10.88.{number}"
        network("nftables", {"addresses": [{"address": f"{subnet}.2/24", "gateway": f"{subnet}.1"}]}, bandwidth)
        add("nftables", f"pod{number}", 8000 + number)
    run("systemctl start cni-follow")
    costs = {}

    def count(name, do):
        """Of what is done and the looks after it, until it sleeps again."""
        before = used(), wake_ups()
        do()
        time.sleep(QUIET)
        costs[name] = {"microseconds": used() - before[0], "wakeUps": wake_ups() - before[1]}

    # What it does at its start is done.
    time.sleep(GRACE + QUIET)
    count("idle", lambda: time.sleep(30))
    nft = Nftables()

    def do(line):
        code, _, error = nft.cmd(line)
        if code != 0:
            raise RuntimeError(f"{line}: {error}")

    def element(number):
        verb = ["add", "delete"][number % 2]
        do(f"{verb} element inet others numbers {{ {number // 2} }}")

    do("add table inet others; add set inet others numbers { type mark; }")
    count("nf_tables", lambda: paced(CHANGES, element))
    run("ip link add others type veth peer name others1 && ip link set others up")
    run("tc qdisc add dev others root tbf rate 1mbit burst 10k latency 1ms")
    with subprocess.Popen(["tc", "-batch", "-"], stdin=subprocess.PIPE, text=True) as tc:
        def qdisc(number):
            rate = 1 + number % 2
            print(f"qdisc change dev others root tbf rate {rate}mbit burst 10k latency 1ms", file=tc.stdin, flush=True)
        count("qdiscs", lambda: paced(CHANGES, qdisc))
        tc.stdin.close()
    if tc.returncode != 0:
        raise RuntimeError(f"tc: {tc.returncode}")
    return {"costs": costs}


def main():
    with open("/etc/role", encoding="ascii") as file:
        role = file.read()
    document = {"firewalls": firewalls, "legacy": legacy, "ufw": ufw, "cost": cost}[role]()
    state = "systemctl show cni-follow -p Result,NRestarts,ExecMainStatus"
    return {**document, "state": run(state), "journal": journal("-u cni-follow -o cat")}


def journal(which):
    return run(f"journalctl {which} --no-pager", check=False)


if __name__ == "__main__":
    try:
        answer = main()
    except Exception as error:  # pylint: disable=broad-except
        answer = {"error": repr(error), "journal": journal("-b -n 200")}
    with open(sys.argv[1] + ".part", "w", encoding="utf-8") as out:
        json.dump(answer, out)
    os.rename(sys.argv[1] + ".part", sys.argv[1])
    os.system("systemctl poweroff")
