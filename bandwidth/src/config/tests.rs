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
        (r#""egressBurst":8"#, Code::InvalidConfig),
        (r#""ingressRate":7,"ingressBurst":8"#, Code::InvalidConfig),
        (r#""ingressRate":8,"ingressBurst":7"#, Code::InvalidConfig),
        (
            r#""ingressRate":8,"ingressBurst":34359738360"#,
            Code::InvalidConfig,
        ),
        (r#""ingressRate":-8,"ingressBurst":8"#, Code::Decoding),
        (r#""ingressRate":8.5,"ingressBurst":8"#, Code::Decoding),
        (r#""ingressRate":"8.5","ingressBurst":8"#, Code::Decoding),
        (r#""ingressRate":"8bps","ingressBurst":8"#, Code::Decoding),
        (
            r#""ingressRate":18446744073709551616,"ingressBurst":8"#,
            Code::Decoding,
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
    assert_eq!((config.latency, config.filter_priority), (None, None));
    let config = parse(r#""burstPolicy":"literal","latencyMs":5,"filterPriority":9"#).unwrap();
    assert_eq!(config.burst_policy, BurstPolicy::Literal);
    assert_eq!((config.latency, config.filter_priority), (Some(5), Some(9)));
}

#[test]
fn rates_and_bursts_may_be_written_in_other_ways_and_a_burst_may_be_left_out() {
    for (keys, rate, burst) in [
        (
            r#""ingressRate":"10M","ingressBurst":"1MB""#,
            10_000_000,
            8_000_000,
        ),
        (
            r#""ingressRate":1e+07,"ingressBurst":1E3"#,
            10_000_000,
            1_000,
        ),
        (r#""ingressRate":8"#, 8, 0),
        (
            r#""runtimeConfig":{"bandwidth":{"ingressRate":"1Gbit"}}"#,
            1_000_000_000,
            0,
        ),
    ] {
        assert_eq!(
            parse(keys).unwrap().ingress,
            Some(Limit { rate, burst }),
            "{keys}"
        );
    }
}
