use super::*;
use common::netconf::Unversioned;
use common::request::Environment;
use common::version::Version;

fn parse(keys: &str) -> Result<Config, Error> {
    let comma = if keys.is_empty() { "" } else { "," };
    let text = format!(r#"{{"cniVersion":"1.0.0","name":"n"{comma}{keys}}}"#);
    let conf = Unversioned::parse(text.as_bytes())
        .unwrap()
        .supported(Version::WITH_INTERFACES)
        .unwrap();
    let environment = Environment::read(|name| match name {
        "CNI_COMMAND" => Some("STATUS".into()),
        _ => None,
    });
    Config::parse(&environment.unwrap().request(conf))
}

fn rates(keys: &str) -> (Option<u64>, Option<u64>) {
    let config = parse(keys).unwrap();
    (
        config.ingress.map(|l| l.rate),
        config.egress.map(|l| l.rate),
    )
}

#[test]
fn limits_come_from_either_place_in_any_case() {
    let pair = r#""ingressRate":8,"ingressBurst":8"#;
    assert_eq!(rates(pair), (Some(8), None));
    assert_eq!(
        rates(r#""RuntimeConfig":{"bandWidth":{"EgressRate":16,"EgressBurst":8}}"#),
        (None, Some(16))
    );
    assert_eq!(rates(""), (None, None));
    assert_eq!(rates(r#""runtimeConfig":{"bandwidth":null}"#), (None, None));
}

#[test]
fn limits_of_the_configuration_beat_the_runtime_s_even_with_0() {
    let runtime = r#""runtimeConfig":{"bandwidth":{"egressRate":16,"egressBurst":8}}"#;
    assert_eq!(
        rates(&format!(r#"{runtime},"ingressRate":0"#)),
        (None, None)
    );
    assert_eq!(
        rates(&format!(r#"{runtime},"ingressRate":null"#)),
        (None, Some(16))
    );
    assert_eq!(
        rates(&format!(r#"{runtime},"ingressRate":8,"ingressBurst":8"#)),
        (Some(8), None)
    );
}

#[test]
fn impossible_limits_are_refused() {
    let cases = [
        (r#""ingressRate":8"#, Code::InvalidConfig),
        (r#""egressBurst":8"#, Code::InvalidConfig),
        (r#""ingressRate":7,"ingressBurst":8"#, Code::InvalidConfig),
        (r#""ingressRate":8,"ingressBurst":7"#, Code::InvalidConfig),
        (
            r#""ingressRate":8,"ingressBurst":34359738360"#,
            Code::InvalidConfig,
        ),
        (r#""ingressRate":-8,"ingressBurst":8"#, Code::Decoding),
        (r#""ingressRate":8.5,"ingressBurst":8"#, Code::Decoding),
        (r#""ingressRate":1e3,"ingressBurst":8"#, Code::Decoding),
        (r#""ingressRate":"8","ingressBurst":8"#, Code::Decoding),
        (
            r#""ingressRate":18446744073709551616,"ingressBurst":8"#,
            Code::Decoding,
        ),
        (
            r#""runtimeConfig":{"bandwidth":{"ingressRate":8}}"#,
            Code::InvalidConfig,
        ),
        (r#""runtimeConfig":{"bandwidth":[]}"#, Code::Decoding),
        (r#""runtimeConfig":[]"#, Code::Decoding),
        (r#""burstPolicy":"none""#, Code::InvalidConfig),
        (r#""burstPolicy":1"#, Code::Decoding),
        (r#""latencyMs":0"#, Code::InvalidConfig),
        (r#""latencyMs":10001"#, Code::InvalidConfig),
        (r#""filterPriority":65531"#, Code::InvalidConfig),
    ];
    for (keys, code) in cases {
        assert_eq!(parse(keys).unwrap_err().code, code, "{keys}");
    }
}

#[test]
fn the_largest_burst_of_the_reference_is_taken() {
    let keys = r#""ingressRate":18446744073709551615,"ingressBurst":34359738359"#;
    assert_eq!(rates(keys), (Some(u64::MAX), None));
}

#[test]
fn the_ways_of_keeping_limits_have_defaults() {
    let config = parse("").unwrap();
    assert_eq!(config.burst_policy, BurstPolicy::Auto);
    assert_eq!((config.latency, config.filter_priority), (25, None));
    let config = parse(r#""burstPolicy":"literal","latencyMs":5,"filterPriority":9"#).unwrap();
    assert_eq!(config.burst_policy, BurstPolicy::Literal);
    assert_eq!((config.latency, config.filter_priority), (5, Some(9)));
}
