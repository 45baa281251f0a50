//! Token buckets.

use common::Drift;

use super::Difference;
use crate::change::{Change, On, Step};
use crate::plan::Numbers;
use crate::queue::{FqCodel, Queue};
use crate::tbf::Tbf;
use crate::tc::qdisc::{Bucket, Count, Qdisc, Queued};
use crate::tc::{BUCKET, handle_text};

impl Difference<'_> {
    /// A token bucket as a link's root qdisc. One that has our handle is changed in place, which keeps its
    /// queue.
    pub fn bucket(&self, on: &On, numbers: &Numbers, actual: Option<&Qdisc>) -> Vec<Step> {
        let object = format!("root qdisc of {on}");
        let set = |undo| Step::change(Change::SetRoot(on.clone(), numbers.ours), Some(undo));
        let delete = || Change::DeleteRoot(on.clone(), None);
        let queue = |actual| queue_step(on, numbers, actual);
        let Some(qdisc) = actual else {
            let drift = Drift::new(object, numbers.ours, "none").of_missing("qdisc");
            let root = set(delete()).because_of(drift);
            return [root].into_iter().chain(queue(&Queued::Fifo)).collect();
        };
        let drifts = bucket_drifts(&object, numbers, qdisc, self.accepts_reference).into_iter();
        let mut steps: Vec<Step> = drifts.map(Step::drift).collect();
        let as_wanted = Bucket {
            tbf: numbers.ours,
            peak: 0,
            count: Count::default(),
        };
        let Some(bucket) = qdisc.bucket.filter(|_| qdisc.handle == BUCKET) else {
            let other = format!("{} {}", qdisc.kind, handle_text(qdisc.handle));
            let lost = Change::LostRoot(on.clone(), other.clone());
            let other = Change::DeleteRoot(on.clone(), Some(other));
            steps.extend([Step::change(other, Some(lost)), set(delete())]);
            steps.extend(queue(&Queued::Fifo));
            return steps;
        };
        let old = Change::SetRoot(on.clone(), bucket.tbf);
        match &qdisc.queue {
            Queued::Other(other) => {
                let own = Change::OwnQueue(on.clone(), numbers.ours, other.clone());
                steps.push(Step::change(own, Some(old)));
                steps.extend(queue(&Queued::Fifo));
            }
            ours => {
                steps.extend((bucket != as_wanted).then(|| set(old)));
                steps.extend(queue(ours));
            }
        }
        steps
    }
}

/// The step from the bucket's own queue, or from an `fq_codel` of ours, to the one that is wanted.
fn queue_step(on: &On, numbers: &Numbers, actual: &Queued) -> Option<Step> {
    let set = |queue| Change::SetQueue {
        on: on.clone(),
        queue,
        is_needed: !numbers.queue.may_be_fifo(),
    };
    let own = |other: FqCodel| Change::OwnQueue(on.clone(), numbers.ours, other.to_string());
    let (change, undo) = match (numbers.queue.fq_codel(), actual) {
        (Some(wanted), Queued::FqCodel(found)) if *found == wanted => return None,
        (Some(wanted), Queued::FqCodel(found)) => (set(wanted), set(*found)),
        (Some(wanted), _) => (set(wanted), own(wanted)),
        (None, Queued::FqCodel(found)) => (own(*found), set(*found)),
        (None, _) => return None,
    };
    Some(Step::change(change, Some(undo)))
}

fn bucket_drifts(
    object: &str,
    numbers: &Numbers,
    qdisc: &Qdisc,
    accepts_reference: bool,
) -> Vec<Drift> {
    let Some(bucket) = qdisc.bucket else {
        return vec![Drift::new(object, numbers.ours, &qdisc.kind)];
    };
    let mut drifts = Vec::new();
    if qdisc.handle != BUCKET {
        let (expected, actual) = (handle_text(BUCKET), handle_text(qdisc.handle));
        let object = format!("handle of the {object}");
        drifts.push(Drift::new(object, expected, actual));
    }
    drifts.extend(of_numbers(object, numbers, bucket, accepts_reference));
    drifts.extend(queue_drift(object, numbers.queue, &qdisc.queue));
    drifts
}

/// How a queue differs. Where a FIFO will do, one is not a drift: the kernel may have had no `fq_codel`.
fn queue_drift(object: &str, wanted: Queue, actual: &Queued) -> Option<Drift> {
    let found = match actual {
        Queued::Fifo if wanted.may_be_fifo() => return None,
        Queued::FqCodel(found) if wanted.fq_codel() == Some(*found) => return None,
        Queued::Fifo => "its own".to_owned(),
        Queued::FqCodel(found) => found.to_string(),
        Queued::Other(other) => other.clone(),
    };
    let expected = match wanted {
        Queue::Fifo => "its own".to_owned(),
        Queue::Best(numbers) => format!("{numbers} or its own"),
        Queue::FqCodel(numbers) => numbers.to_string(),
    };
    Some(Drift::new(
        format!("queue of the {object}"),
        expected,
        found,
    ))
}

fn of_numbers(
    object: &str,
    numbers: &Numbers,
    actual: Bucket,
    accepts_reference: bool,
) -> Vec<Drift> {
    let Bucket { tbf, peak, count } = actual;
    let mut drifts = Vec::new();
    if peak != 0 {
        let found = format!("{peak} bytes per second");
        drifts.push(Drift::new(
            format!("peak rate of the {object}"),
            "none",
            found,
        ));
    }
    if count != Count::default() {
        let Count {
            overhead,
            mpu,
            atm,
            table,
        } = count;
        let cells = if atm { " in cells of ATM" } else { "" };
        let table = if table { ", with a size table" } else { "" };
        drifts.push(Drift::new(
            format!("length of packets in the {object}"),
            "as they are",
            format!("overhead {overhead} mpu {mpu} bytes{cells}{table}"),
        ));
    }
    let whose = match Some(tbf) == numbers.reference {
        true if accepts_reference => return drifts,
        true => " of the reference",
        false => "",
    };
    let Tbf {
        rate,
        buffer,
        limit,
    } = numbers.ours;
    let mut differ = |what: &str, unit: &str, expected: u64, actual: u64| {
        if expected != actual {
            drifts.push(Drift::new(
                format!("{what} of the {object}"),
                format!("{expected} {unit}"),
                format!("{actual} {unit}{whose}"),
            ));
        }
    };
    differ("rate", "bytes per second", rate, tbf.rate);
    differ("burst", "ticks", buffer.into(), tbf.buffer.into());
    differ("limit", "bytes", limit.into(), tbf.limit.into());
    drifts
}
