//! What a look remembers.

use super::*;
use crate::repair::Difference;
use Plugin::{Bandwidth, Portmap};

fn looker() -> Looker {
    Looker::new(Follow {
        plugins: Vec::new(),
        config_dir: None,
        cache_dir: PathBuf::from("/no/such/cache"),
        state_dir: PathBuf::from("/no/such/state"),
        grace: Duration::from_secs(10),
    })
}

fn attachment() -> Attachment {
    Attachment {
        network: "n".into(),
        container: "c".into(),
        ifname: "eth0".into(),
    }
}

#[test]
fn what_one_plugin_cannot_repair_is_held_for_that_plugin_until_the_next_try() {
    let now = Instant::now();
    let mut looker = looker();
    let held = BTreeSet::from([attachment()]);
    let part = (Portmap, attachment());
    looker.failed.insert(part, "why".into());
    looker.again.looked(Portmap, (now, now), Failures::New);
    assert_eq!(looker.held(Portmap, now), held);
    assert_eq!(looker.held(Bandwidth, now), BTreeSet::new());
    let due = looker.due().unwrap();
    assert_eq!(looker.retries(due), Concern::of([Portmap], FAILURE));
    assert_eq!(looker.held(Portmap, due), BTreeSet::new());
    looker.again.looked(Portmap, (due, due), Failures::Known);
    assert_eq!(looker.held(Portmap, due), held);
    looker.forget_failures();
    assert_eq!(looker.held(Portmap, due), BTreeSet::new());
    assert_eq!(looker.due(), None);
}

/// A link where the file should be, and then nothing.
#[test]
fn what_could_not_be_taken_back_is_reported_once_and_tried_again_after_a_second() {
    let mut now = Instant::now();
    let mut looker = looker();
    looker.grace = Duration::ZERO;
    let entry = |file: &str| Entry {
        file: file.into(),
        attachment: attachment(),
        netns: String::new(),
        args: Vec::new(),
        capabilities: Vec::new(),
        config: b"{}".into(),
        result: None,
    };
    let repair = |at, file: &str, reported| Repair {
        at,
        entry: entry(file),
        outcome: Outcome::Repaired(Difference::default()),
        reported,
    };
    let part = (Portmap, attachment());
    let first = repair(now, "/proc/self/exe", None);
    looker.unconfirmed.insert(part.clone(), first);
    let line = looker.confirm(now).unwrap();
    assert!(line.starts_with("failed 1: portmap of n/c/eth0"), "{line}");
    for _ in 0..3 {
        assert_eq!(looker.due(), Some(now + SOONEST));
        now += SOONEST;
        assert_eq!(looker.confirm(now), None);
    }
    let reported = looker.unconfirmed[&part].reported.clone();
    let next = repair(now, "/no/such/cache/results/n-c-eth0", reported);
    looker.unconfirmed.insert(part, next);
    let line = looker.confirm(now).unwrap();
    assert_eq!(line, "rolled back 1: portmap of n/c/eth0");
    assert_eq!(looker.due(), None);
}

/// A file where the directory should be.
#[test]
fn a_plugin_that_could_not_be_looked_at_is_looked_at_again_and_reported_once() {
    let mut looker = looker();
    looker.cache_dir = PathBuf::from("/proc/self/status");
    let mut now = Instant::now();
    let line = looker.look(&Concern::of([Portmap], "a change"), now);
    assert_eq!(line.failed.len(), 1, "{line:?}");
    for _ in 0..3 {
        now = looker.due().unwrap();
        assert!(looker.retries(now - Duration::from_millis(1)).is_empty());
        let concern = looker.retries(now);
        assert_eq!(concern, Concern::of([Portmap], FAILURE));
        assert!(looker.retries(now).is_empty());
        assert!(looker.look(&concern, now).is_empty());
    }
    looker.cache_dir = PathBuf::from("/no/such/cache");
    now = looker.due().unwrap();
    let concern = looker.retries(now);
    assert!(looker.look(&concern, now).is_empty());
    assert_eq!(looker.again.due(), None);
}
