use common::Attachment;
use common::step::drifts;

use super::*;
use crate::ifb::Slot;
use crate::owner::Owner;
use crate::plan::{Numbers, PlannedFilter};
use crate::tc::filter::{Filter, Rule, Verdict};
use crate::tc::qdisc::{Bucket, Count, Qdisc};
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
        stranger: None,
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
fn a_foreign_queue_goes_with_an_undo_that_lets_packets_pass() {
    let mut actual = limited();
    if let Some(root) = &mut actual.root {
        root.stranger = Some("pfifo 10:".into());
    }
    let steps = steps(&plan(), &actual);
    let delete = steps.iter().find(|step| {
        matches!(&step.change, Some(Change::DeleteStranger(_, other)) if other == "pfifo 10:")
    });
    let undo = delete.unwrap().undo.clone();
    assert_eq!(
        undo,
        Some(Change::SetRoot(On::Limited("veth0".into()), TBF))
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
