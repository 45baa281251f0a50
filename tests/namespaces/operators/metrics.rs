//! `metrics`.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::place::{Backend, Place, Said};

/// The numbers of a text, each with its name and labels.
#[track_caller]
fn samples(text: &str) -> Vec<(String, f64)> {
    assert!(text.ends_with("# EOF\n"), "{text}");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    lines.map(sample).collect()
}

/// The only number whose name and labels have all of these.
#[track_caller]
fn value(text: &str, parts: &[&str]) -> f64 {
    let mut all = samples(text);
    all.retain(|(name, _)| parts.iter().all(|part| name.contains(part)));
    assert_eq!(all.len(), 1, "{parts:?}: {all:?} in {text}");
    all[0].1
}

fn metrics(place: &Place, line: &[&str]) -> Said {
    let line = [&["metrics"], line].concat();
    Said::of(place.tool(&line).run(&place.net.host).unwrap())
}

#[test]
fn what_is_set_and_what_was_repaired_is_counted() {
    let place = Place::new(Backend::IptablesNft, 2);
    for plugin in ["tuning", "portmap", "bandwidth"] {
        place.attach_all(plugin);
    }
    place.name_pod(0, "shop", "web");
    let said = metrics(&place, &[]);
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
    let text = said.stdout;
    for (parts, expected) in [
        (&["cni_attachments{network=\"net1\"}"][..], 2.0),
        (
            &["cni_portmap_mappings{backend=\"iptables-nft\",state=\"active\"}"],
            4.0,
        ),
        (
            &[
                "cni_portmap_connections_total{pod=\"shop/web\"",
                "host_port=\"8000\"",
            ],
            0.0,
        ),
        (&["cni_bandwidth_limits{state=\"active\"}"], 4.0),
        (
            &[
                "cni_bandwidth_limit_bytes_per_second{pod=\"shop/web\"",
                "\"ingress\"",
            ],
            1_000_000.0,
        ),
        (
            &[
                "cni_bandwidth_dropped_packets_total{pod=\"shop/web\"",
                "\"egress\"",
            ],
            0.0,
        ),
        (&["cni_metrics_errors"], 0.0),
    ] {
        assert_eq!(value(&text, parts), expected, "{parts:?}");
    }
    assert!(value(&text, &["cni_metrics_duration_seconds"]) > 0.0);
    assert!(value(&text, &["cni_tuning_values{state=\"active\"}"]) >= 2.0);
    // Nobody has reconciled yet; a look alone is none.
    place.reload();
    place.run("portmap", &["reconcile", "--dry-run"]);
    let text = metrics(&place, &[]).stdout;
    assert!(!text.contains("cni_reconcile"), "{text}");
    assert_eq!(
        value(&text, &["cni_portmap_mappings{", "state=\"missing\""]),
        4.0
    );
    for repairs in [2.0, 4.0] {
        place.reload();
        assert_eq!(place.run("portmap", &["reconcile"]).code, Some(10));
        let text = metrics(&place, &[]).stdout;
        let of = |name: &str, label: &str| value(&text, &[name, "plugin=\"portmap\"", label]);
        assert_eq!(of("cni_reconcile_attachments", "\"repaired\""), 2.0);
        assert_eq!(of("cni_reconcile_repairs_total", ""), repairs);
        assert!(of("cni_reconcile_last_timestamp_seconds", "") > 1e9);
        assert!(of("cni_reconcile_duration_seconds", "") >= 0.0);
    }
}

#[test]
fn the_file_is_there_whole_and_for_everybody_or_as_it_was() {
    let place = Place::new(Backend::Nftables, 1);
    place.attach_all("portmap");
    let file = place.directory.join("cni.prom");
    let output = file.display().to_string();
    let said = metrics(&place, &["--output", &output]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), ""), "{said:?}");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(value(&text, &["cni_portmap_mappings{"]), 2.0);
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    for bad in ["/nonexistent/x.prom", "/"] {
        let said = metrics(&place, &["--output", bad]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.stderr.contains("cannot be written"), "{said:?}");
    }
    // What is no file stays what it is.
    let pipe = place.directory.join("pipe");
    let path = pipe.display().to_string();
    place.net.host.sh(["mkfifo", &path]);
    let link = place.directory.join("link");
    symlink(&file, &link).unwrap();
    for (bad, what) in [(&pipe, "a pipe"), (&link, "a symbolic link")] {
        let said = metrics(&place, &["--output", &bad.display().to_string()]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.stderr.contains(what), "{said:?}");
        assert!(!fs::symlink_metadata(bad).unwrap().is_file());
    }
    // What makes no sense in the cache is counted, and the rest is there.
    fs::write(place.cache_dir().join("results/x"), "{").unwrap();
    let said = metrics(&place, &["--output", &output]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(value(&text, &["cni_metrics_errors"]), 1.0);
    // Without a cache nothing is known, and the file stays.
    fs::remove_dir_all(place.cache_dir()).unwrap();
    fs::create_dir(place.cache_dir()).unwrap();
    fs::write(place.cache_dir().join("results"), "").unwrap();
    let said = metrics(&place, &["--output", &output]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    let names = fs::read_dir(&place.directory).unwrap();
    let left = names.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with(".cni.prom")
    });
    assert_eq!(left.count(), 0);
}
