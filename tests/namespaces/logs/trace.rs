//! The trace context that libcni passes in the environment.

use serde_json::json;

use super::{line, tuned, values};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn told(traceparent: &str) -> [String; 3] {
    let pod = tuned();
    let call = pod.call("ADD").env("TRACEPARENT", traceparent);
    let answer = pod.finish(call, &pod.conf(json!({"mtu": 1400})));
    values(&line(&answer), ["trace_id", "span_id", "trace_flags"])
}

#[test]
fn a_call_s_trace_and_span_are_in_its_line() {
    let traceparent = format!("00-{TRACE}-{SPAN}-01");
    assert_eq!(told(&traceparent), [TRACE, SPAN, "01"]);
}

#[test]
fn a_trace_context_that_is_none_is_left_out() {
    for text in [
        "",
        "00-0-0-00",
        &format!("00-{TRACE}-{SPAN}-01\nlevel=error"),
    ] {
        assert_eq!(told(text), ["-", "-", "-"], "{text:?}");
    }
}
