//! What reads bytes of others, for the fuzz targets.

use common::Request;

use crate::allowlist;
use crate::backup::Backup;
use crate::config::Config;
use crate::diff;
use crate::observe::{Actual, Reading};
use crate::plan::Plan;

/// A configuration, as every verb reads it: what it plans is not a drift once it is there.
pub fn configuration(request: &Request) {
    let _ = crate::config::data_dir(request.conf.object());
    let _ = request.conf.valid_attachments();
    let Ok(config) = Config::parse(request) else {
        return;
    };
    let plan = Plan::new(config);
    let _ = plan.to_string();
    let values = plan.sysctls.iter();
    let actual = Actual {
        link: None,
        ends: Vec::new(),
        beside: Vec::new(),
        beside_mtu: None,
        sysctls: values.map(|s| Reading::Value(s.value.clone())).collect(),
    };
    // Offloads need the link.
    let steps = diff::steps(&plan, &actual, &request.attachment.ifname, &[]);
    let drifts = steps.map(common::step::drifts).unwrap_or_default();
    assert_eq!(drifts.len(), 1, "only the missing link: {drifts:?}");
    for setting in &plan.sysctls {
        let path = setting.name.path();
        let plain = path.components().all(|part| {
            matches!(
                part,
                std::path::Component::Normal(_) | std::path::Component::RootDir
            )
        });
        assert!(plain && path.starts_with("/proc/sys/net"), "{path:?}");
    }
    if let Ok(mut result) = request.conf.required_prev_result() {
        plan.show_in(
            &mut result,
            &request.attachment.ifname,
            request.conf.version,
        );
    }
}

/// A file of originals: what is understood is written and read back as it is.
pub fn backup(bytes: &[u8]) {
    let (backup, _) = Backup::parse(bytes);
    let text = backup.text();
    assert_eq!(Backup::parse(text.as_bytes()), (backup, vec![]), "{text}");
}

/// The administrator's list.
pub fn allowlist(text: &str) {
    for (number, line) in allowlist::lines(text) {
        if let Ok(line) = allowlist::compile(number, line) {
            let _ = line.permits("net.ipv4.conf.eth0.arp_filter");
        }
    }
}
