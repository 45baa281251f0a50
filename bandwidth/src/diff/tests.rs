use common::Attachment;
use common::step::drifts;
use common::sys::netlink::Refusal;
use nix::errno::Errno;

use super::*;
use crate::ifb::Slot;
use crate::owner::Owner;
use crate::plan::{Numbers, PlannedFilter};
use crate::queue::{FqCodel, Queue, QueuePolicy};
use crate::tbf::Tbf;
use crate::tc::filter::{Filter, Rule, Verdict};
use crate::tc::qdisc::{Bucket, Count, Qdisc, Queued};
use crate::tc::{BUCKET, ETH_P_ALL, HOOKS};

const TBF: Tbf = Tbf {
    rate: 1_000_000,
    buffer: 1_562_500,
    limit: 125_000,
};

fn link(index: u32, name: &str, kind: &str) -> Link {
    Link {
        index,
        name: name.into(),
        kind: kind.into(),
        mac: None,
        mtu: 1500,
        up: true,
        promisc: false,
        allmulti: false,
        txqlen: 0,
        alias: None,
        parent: None,
        parent_netnsid: None,
        master: None,
        tx_queues: 1,
        rx_queues: 1,
        gso_max_size: 0,
    }
}

fn mark() -> Mark {
    Mark {
        owner: Owner::of(&Attachment {
            network: "net1".into(),
            container: "a".into(),
            ifname: "eth0".into(),
        }),
        link: 7,
        hook_made: true,
        root_made: true,
    }
}

fn rule(target: u32) -> Rule {
    Rule {
        keys: Vec::new(),
        verdict: Verdict::Redirect(target),
    }
}

/// Limits in both directions.
fn plan() -> Plan {
    let numbers = Numbers {
        ours: TBF,
        reference: None,
        queue: Queue::Fifo,
    };
    Plan {
        link: "veth0".into(),
        mtu: 1500,
        root: Some(numbers),
        detours: vec![Detour {
            hook: Hook::Ingress,
            ifb: "bwp1".into(),
            mtu: 1500,
            tbf: numbers,
            filters: vec![PlannedFilter {
                protocol: ETH_P_ALL,
                rule: rule(0),
            }],
        }],
    }
}

/// A node where nothing is limited.
fn bare() -> Actual {
    let side = |hook, name: &str| HookState {
        hook,
        slot: Slot {
            name: name.into(),
            first_name: format!("{name}first"),
            link: None,
            mark: None,
            user: None,
            taken_by: None,
        },
        bucket: None,
        filters: Vec::new(),
        strays: Vec::new(),
        neighbours: Vec::new(),
    };
    Actual {
        root: None,
        hook: None,
        sides: [side(Hook::Ingress, "bwp1"), side(Hook::Egress, "bwe1")],
    }
}

fn qdisc(kind: &str, handle: u32, bucket: Option<Bucket>) -> Option<Qdisc> {
    Some(Qdisc {
        kind: kind.into(),
        handle,
        bucket,
        queue: Queued::Fifo,
    })
}

fn tbf() -> Option<Qdisc> {
    let bucket = Bucket {
        tbf: TBF,
        peak: 0,
        count: Count::default(),
    };
    qdisc("tbf", BUCKET, Some(bucket))
}

/// The same node after ADD.
fn limited() -> Actual {
    let mut actual = bare();
    let [ingress, _] = &mut actual.sides;
    let alias = Some(mark().to_string());
    ingress.slot.link = Some(Link {
        alias,
        ..link(9, "bwp1", "ifb")
    });
    ingress.slot.mark = Some(mark());
    ingress.bucket = tbf();
    ingress.filters = vec![Filter {
        kind: "u32".into(),
        handle: 0x8000_0800,
        priority: 1,
        protocol: ETH_P_ALL,
        chain: 0,
        rule: Some(rule(9)),
    }];
    Actual {
        root: tbf(),
        hook: qdisc("clsact", HOOKS, None),
        ..actual
    }
}

fn steps(plan: &Plan, actual: &Actual) -> Vec<Step> {
    steps_of(plan, actual, true)
}

fn steps_of(plan: &Plan, actual: &Actual, accepts_reference: bool) -> Vec<Step> {
    let difference = Difference {
        plan,
        actual,
        link: &link(7, "veth0", "veth"),
        mark: &mark(),
        priority: 1,
        kept: &[],
        is_whole: false,
        accepts_reference,
    };
    difference.steps()
}

fn texts(changes: impl Iterator<Item = Option<Change>>) -> Vec<String> {
    let tried = |change: Change| change.tried("veth0");
    changes.flatten().map(tried).collect()
}

#[test]
fn nothing_is_limited_before_everything_is_ready_and_everything_has_its_undo() {
    let steps = steps(&plan(), &bare());
    let changes = texts(steps.iter().map(|step| step.change.clone()));
    let set = |link: &str| format!("set the root qdisc of {link} to {TBF}");
    let expected = [
        "create bwp1first",
        "mark bwp1",
        &set("bwp1"),
        "set bwp1 up",
        "add qdisc clsact to veth0",
        "add a filter from veth0 ingress to its ifb",
        &set("veth0"),
    ];
    assert_eq!(changes, expected);
    assert!(steps.iter().all(|step| step.undo.is_some()));
    let objects = drifts(steps).into_iter().map(|drift| drift.object);
    let objects: Vec<String> = objects.collect();
    let expected = [
        "bwp1",
        "clsact or ingress qdisc of veth0",
        "root qdisc of veth0",
    ];
    assert_eq!(objects, expected);
}

#[test]
fn what_is_as_planned_needs_no_step() {
    assert_eq!(steps(&plan(), &limited()), []);
}

#[test]
fn what_only_add_cares_for_is_no_drift() {
    let moved = |priority| {
        let mut actual = limited();
        let [ingress, _] = &mut actual.sides;
        ingress.filters[0].priority = priority;
        actual
    };
    let steps = steps(&plan(), &moved(5));
    let changes = texts(steps.iter().map(|step| step.change.clone()));
    let expected = [
        "delete a filter of veth0 ingress",
        "add a filter from veth0 ingress to its ifb",
    ];
    assert_eq!(changes, expected);
    assert_eq!(drifts(steps), []);
}

#[test]
fn an_older_limit_goes_last_and_without_a_drift() {
    let plan = Plan {
        root: None,
        detours: Vec::new(),
        ..plan()
    };
    let steps = steps(&plan, &limited());
    let changes = texts(steps.iter().map(|step| step.change.clone()));
    let expected = [
        "delete a filter of veth0 ingress",
        "delete the clsact or ingress qdisc of veth0",
        "delete the root qdisc of veth0",
        "delete bwp1",
    ];
    assert_eq!(changes, expected);
    assert_eq!(drifts(steps), []);
}

/// The steps of a plan that is all that an attachment is to have, where the link has an alias.
fn leftovers(plan: &Plan, actual: &Actual, alias: Option<String>) -> Vec<String> {
    let link = Link {
        alias,
        ..link(7, "veth0", "veth")
    };
    let difference = Difference {
        plan,
        actual,
        link: &link,
        mark: &mark(),
        priority: 1,
        kept: &[],
        is_whole: true,
        accepts_reference: true,
    };
    let left = difference.leftovers();
    assert!(
        left.iter()
            .all(|step| step.undo.is_some() || step.change.as_ref().unwrap().is_optional())
    );
    texts(left.into_iter().map(|step| step.change))
}

#[test]
fn each_direction_is_left_over_by_itself_where_the_plan_is_whole() {
    let plans = || (plan(), plan());
    let (mut towards, mut from) = plans();
    towards.detours.clear();
    from.root = None;
    let expected = [
        "delete a filter of veth0 ingress",
        "delete the clsact or ingress qdisc of veth0",
        "delete bwp1",
    ];
    assert_eq!(leftovers(&towards, &limited(), None), expected);
    // The mark of the link goes with its token bucket.
    let own = Some(mark().to_string());
    let expected = ["mark veth0", "delete the root qdisc of veth0"];
    assert_eq!(leftovers(&from, &limited(), own.clone()), expected);
    let both = plan();
    assert_eq!(leftovers(&both, &limited(), None), [""; 0]);
    assert_eq!(leftovers(&towards, &limited(), own.clone()).len(), 3);
    // Another's token bucket.
    let mut foreign = limited();
    foreign.root = qdisc("tbf", 0x0005_0000, tbf().and_then(|root| root.bucket));
    assert_eq!(leftovers(&from, &foreign, None), [""; 0]);
    let other = "cni-bandwidth net1/b/eth0 link=7 hook=found root=made".to_owned();
    assert_eq!(leftovers(&from, &limited(), Some(other)), [""; 0]);
    // Without the whole plan it may be another plugin's of the chain.
    let steps = steps(&from, &limited()).into_iter();
    let changes = texts(steps.map(|step| step.change));
    assert!(
        !changes.iter().any(|text| text == "mark veth0"),
        "{changes:?}"
    );
}

#[test]
fn the_reference_s_numbers_are_a_drift_only_where_they_are_not_accepted() {
    let theirs = Tbf {
        buffer: 67_108_862,
        ..TBF
    };
    let mut plan = plan();
    let mut actual = limited();
    if let Some(numbers) = &mut plan.root {
        numbers.reference = Some(theirs);
    }
    if let Some(bucket) = actual.root.as_mut().and_then(|root| root.bucket.as_mut()) {
        bucket.tbf = theirs;
    }
    // ADD sets its own either way.
    for (accepts_reference, count) in [(true, 0), (false, 1)] {
        let steps = steps_of(&plan, &actual, accepts_reference);
        assert!(steps.iter().any(|step| step.change.is_some()));
        let drifts: Vec<String> = drifts(steps).iter().map(Drift::to_string).collect();
        assert_eq!(drifts.len(), count, "{drifts:?}");
        assert!(
            drifts
                .iter()
                .all(|drift| drift.ends_with("67108862 ticks of the reference"))
        );
    }
}

#[test]
fn a_queue_becomes_the_wanted_one_with_an_undo_and_without_a_gap_where_it_can() {
    let fq_codel = |latency| {
        let queue = Queue::new(QueuePolicy::Auto, TBF.rate, latency, 1514);
        queue.fq_codel().unwrap()
    };
    let (new, old) = (fq_codel(25), fq_codel(100));
    let foreign = Queued::Other("pfifo 8001:".into());
    let set = |numbers: FqCodel| format!("set the queue of veth0 to {numbers}");
    let delete = |other: &str| format!("delete qdisc {other} of veth0");
    let root = format!("set the root qdisc of veth0 to {TBF}");
    let (best, needed) = (Queue::Best(new), Queue::FqCodel(new));
    let (had, has) = (Queued::FqCodel(old), Queued::FqCodel(new));
    let deletes_new = || delete(&new.to_string());
    // Wanted, found, whether that is a drift, the changes and their undos.
    let table = [
        (Queue::Fifo, Queued::Fifo, false, vec![], vec![]),
        (
            Queue::Fifo,
            has.clone(),
            true,
            vec![deletes_new()],
            vec![set(new)],
        ),
        (
            Queue::Fifo,
            foreign.clone(),
            true,
            vec![delete("pfifo 8001:")],
            vec![root.clone()],
        ),
        (
            best,
            Queued::Fifo,
            false,
            vec![set(new)],
            vec![deletes_new()],
        ),
        (
            needed,
            Queued::Fifo,
            true,
            vec![set(new)],
            vec![deletes_new()],
        ),
        (best, has.clone(), false, vec![], vec![]),
        (needed, has, false, vec![], vec![]),
        (best, had.clone(), true, vec![set(new)], vec![set(old)]),
        (needed, had, true, vec![set(new)], vec![set(old)]),
        (
            best,
            foreign,
            true,
            vec![delete("pfifo 8001:"), set(new)],
            vec![root, deletes_new()],
        ),
    ];
    for (wanted, found, is_drift, changes, undos) in table {
        let mut plan = plan();
        let mut actual = limited();
        plan.root = plan.root.map(|root| Numbers {
            queue: wanted,
            ..root
        });
        actual.root = tbf().map(|root| Qdisc {
            queue: found.clone(),
            ..root
        });
        let steps = steps(&plan, &actual);
        let case = format!("{wanted:?} {found:?}");
        assert_eq!(
            texts(steps.iter().map(|s| s.change.clone())),
            changes,
            "{case}"
        );
        assert_eq!(texts(steps.iter().map(|s| s.undo.clone())), undos, "{case}");
        assert_eq!(!drifts(steps).is_empty(), is_drift, "{case}");
    }
}

#[test]
fn only_a_kernel_without_the_kind_is_a_reason_to_do_without() {
    let refused = |errno: Errno, text: &str| Refusal {
        errno,
        text: text.into(),
        is_answer: true,
    };
    let numbers = Queue::new(QueuePolicy::Auto, TBF.rate, 25, 1514).fq_codel();
    let set = |is_needed| Change::SetQueue {
        on: On::Limited("veth0".into()),
        queue: numbers.unwrap(),
        is_needed,
    };
    let unknown = refused(Errno::ENOENT, "Specified qdisc kind is unknown");
    assert!(set(false).can_do_without(&unknown));
    assert!(set(false).can_do_without(&refused(Errno::ENOENT, "")));
    assert!(!set(true).can_do_without(&unknown));
    let gone = "Failed to find specified qdisc";
    assert!(!set(false).can_do_without(&refused(Errno::ENOENT, gone)));
    assert!(!set(false).can_do_without(&refused(Errno::ENOMEM, "")));
}
