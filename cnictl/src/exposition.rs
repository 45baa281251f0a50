//! Metrics as OpenMetrics text, which node_exporter's textfile collector reads, too.

use std::fmt;

use common::{Code, Context, Error};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// The labels of one sample.
pub type Labels = Vec<(&'static str, String)>;

/// A metric with its samples, in order.
#[derive(Debug)]
pub struct Metric {
    name: &'static str,
    kind: MetricType,
    help: &'static str,
    samples: Vec<(Labels, f64)>,
}

impl Metric {
    /// What is so now, without samples; the help has no full stop at its end, which is added.
    pub fn gauge(name: &'static str, help: &'static str) -> Metric {
        Metric {
            name,
            kind: MetricType::Gauge,
            help,
            samples: Vec::new(),
        }
    }

    /// The same for what goes up only, as long as the thing lives.
    pub fn counter(name: &'static str, help: &'static str) -> Metric {
        Metric {
            kind: MetricType::Counter,
            ..Metric::gauge(name, help)
        }
    }

    /// Adds a sample. Counts beyond 2^53 lose their last digits, as in all of this format's readers.
    pub fn sample(&mut self, labels: Labels, value: u64) {
        self.samples.push((labels, value as f64));
    }

    /// Adds a sample in seconds.
    pub fn seconds(&mut self, labels: Labels, value: f64) {
        self.samples.push((labels, value));
    }

    /// Adds one to the sample with these labels.
    pub fn count(&mut self, labels: Labels) {
        match self.samples.iter_mut().find(|(known, _)| *known == labels) {
            Some((_, value)) => *value += 1.0,
            None => self.samples.push((labels, 1.0)),
        }
    }
}

/// What is written.
#[derive(Debug)]
struct Page(Vec<Metric>);

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        for Metric {
            name,
            kind,
            help,
            samples,
        } in self.0.iter().filter(|metric| !metric.samples.is_empty())
        {
            let help = format!("{help}.");
            let mut metric = encoder.encode_descriptor(name, &help, None, *kind)?;
            for (labels, value) in samples {
                let mut sample = metric.encode_family(labels)?;
                match kind {
                    MetricType::Counter => {
                        sample.encode_counter::<NoLabelSet, f64, f64>(value, None)?;
                    }
                    _ => sample.encode_gauge(value)?,
                }
            }
        }
        Ok(())
    }
}

/// The text of metrics.
///
/// # Errors
/// Code 100 where it cannot be made.
pub fn text(metrics: Vec<Metric>) -> Result<String, Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(metrics)));
    let mut text = String::new();
    encode(&mut text, &registry).context(Code::System, || "write metrics".into())?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_in_order_and_labels_are_escaped() {
        let mut mappings = Metric::gauge("a", "How many");
        for state in ["b", "a\"\n", "b"] {
            mappings.count(vec![("state", state.to_owned())]);
        }
        let mut bytes = Metric::counter("b_bytes", "Bytes");
        bytes.sample(Labels::new(), 1 << 40);
        let none = Metric::gauge("none", "None");
        let expected = "# HELP a How many.\n# TYPE a gauge\na{state=\"b\"} 2.0\n\
                        a{state=\"a\\\"\\n\"} 1.0\n# HELP b_bytes Bytes.\n\
                        # TYPE b_bytes counter\nb_bytes_total 1099511627776.0\n# EOF\n";
        assert_eq!(text(vec![mappings, bytes, none]).unwrap(), expected);
    }
}
