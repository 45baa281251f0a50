//! Token buckets.

use common::Drift;

use super::Difference;
use crate::change::{Change, On, Step};
use crate::plan::Numbers;
use crate::tbf::Tbf;
use crate::tc::qdisc::{Bucket, Count, Qdisc};
use crate::tc::{BUCKET, handle_text};

impl Difference<'_> {
    /// A token bucket as a link's root qdisc. One that has our handle is changed in place, which keeps its
    /// queue.
    pub fn bucket(&self, on: &On, numbers: &Numbers, actual: Option<&Qdisc>) -> Vec<Step> {
        let object = format!("root qdisc of {on}");
        let set = |undo| Step::change(Change::SetRoot(on.clone(), numbers.ours), Some(undo));
        let delete = || Change::DeleteRoot(on.clone(), None);
        let Some(qdisc) = actual else {
            let drift = Drift::new(object, numbers.ours, "none").of_missing("qdisc");
            return vec![set(delete()).because_of(drift)];
        };
        let drifts = bucket_drifts(&object, numbers, qdisc, self.accepts_reference).into_iter();
        let mut steps: Vec<Step> = drifts.map(Step::drift).collect();
        let as_wanted = Bucket {
            tbf: numbers.ours,
            peak: 0,
            count: Count::default(),
        };
        match (
            qdisc.bucket.filter(|_| qdisc.handle == BUCKET),
            &qdisc.stranger,
        ) {
            (Some(bucket), None) if bucket == as_wanted => {}
            (Some(bucket), stranger) => {
                // Without a queue the bucket lets nothing pass: its own comes with its former numbers.
                let former = || Change::SetRoot(on.clone(), bucket.tbf);
                let strangers = stranger.iter().map(|stranger| {
                    let delete = Change::DeleteStranger(on.clone(), stranger.clone());
                    Step::change(delete, Some(former()))
                });
                steps.extend(strangers);
                steps.push(set(former()));
            }
            (None, _) => {
                let other = format!("{} {}", qdisc.kind, handle_text(qdisc.handle));
                let other = Change::DeleteRoot(on.clone(), Some(other));
                steps.extend([Step::change(other, None), set(delete())]);
            }
        }
        steps
    }
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
    let queue = qdisc.stranger.iter();
    drifts.extend(queue.map(|q| Drift::new(format!("queue of the {object}"), "its own", q)));
    drifts
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
        let Count { overhead, mpu, atm } = count;
        let cells = if atm { " in cells of ATM" } else { "" };
        drifts.push(Drift::new(
            format!("length of packets in the {object}"),
            "as they are",
            format!("overhead {overhead} mpu {mpu} bytes{cells}"),
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
