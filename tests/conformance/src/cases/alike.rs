//! Attachments that are easily taken for each other.

/// Network, container ID and interface.
pub type Attachment = (&'static str, &'static str, &'static str);

/// Two attachments and what they are.
pub type Alike = (&'static str, Attachment, Attachment);

/// Those that no plugin may mix up.
pub const ALIKE: [Alike; 5] = [
    (
        "two interfaces of one container",
        ("net1", "cid", "eth0"),
        ("net1", "cid", "net1"),
    ),
    (
        "two networks with one container ID",
        ("net1", "cid", "eth0"),
        ("net2", "cid", "eth0"),
    ),
    (
        "net-a with b1 and net-ab with 1",
        ("net-a", "b1", "eth0"),
        ("net-ab", "1", "eth0"),
    ),
    (
        "a container ID and a longer one",
        ("net1", "cid", "eth0"),
        ("net1", "cid-2", "eth0"),
    ),
    (
        "container IDs that differ in case",
        ("net1", "cid", "eth0"),
        ("net1", "CID", "eth0"),
    ),
];
