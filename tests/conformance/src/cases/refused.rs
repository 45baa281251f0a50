//! Configurations that ADD must refuse, whatever the plugin: nothing may have changed after.

use std::fmt::Display;

use serde_json::Value;

use crate::case::Table;

/// A case for each configuration, by what is wrong with it.
pub fn configurations<N: Display>(
    table: &mut Table,
    configurations: impl IntoIterator<Item = (N, Value)>,
) {
    for (name, conf) in configurations {
        table.case(
            format!("ADD refuses {name} and changes nothing"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                pods.request(conf.clone()).add()?.error()?;
                pods.unchanged(&before)
            },
        );
    }
}

/// A case for each number that stands in the place of `digits` in the text of a good configuration.
pub fn numbers<const N: usize>(
    table: &mut Table,
    whose: &str,
    (good, digits): (fn() -> Value, &'static str),
    numbers: [&'static str; N],
) {
    for number in numbers {
        table.case(
            format!("ADD refuses the number {number} for {whose} and changes nothing"),
            move |lab| {
                let pods = lab.pod()?;
                let before = pods.state()?;
                let request = pods.request(good());
                let raw = request.conf().to_string().replacen(digits, number, 1);
                request.raw(raw).add()?.error()?;
                pods.unchanged(&before)
            },
        );
    }
}
