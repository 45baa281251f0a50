//! What requests put into lines of the log: any value stays inside one line, and is read back.
#![no_main]

use common::log::line::{LONGEST, Line};
use common::log::settings::Settings;
use common::log::trace::Trace;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (bound, value) = bytes.split_first().map_or((0, bytes), |(b, rest)| (*b, rest));
    let value = String::from_utf8_lossy(value);
    if let Some(trace) = Trace::parse(&value) {
        let start = format!("{}-{}-{}", trace.trace_id, trace.span_id, trace.flags);
        assert_eq!(value.get(3..).map(|rest| rest.starts_with(&start)), Some(true));
    }
    let most = 8 + usize::from(bound);
    let line = Line::default().with("k", &value, most).text();
    assert!(line.len() <= most + 3 && line.len() <= LONGEST, "{line:?}");
    let body = line.strip_suffix('\n').unwrap_or("\n");
    assert!(body.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'$' && b != b'`'));
    if let Some(quoted) = body.strip_prefix("k=\"") {
        let text = common::json::Json::parse(format!("\"{quoted}").as_bytes());
        match text {
            Ok(common::json::Json::String(text)) => {
                let whole = text == value;
                let cut = text.strip_suffix("...").is_some_and(|start| value.starts_with(start));
                assert!(whole || cut, "{text:?} of {value:?}");
            }
            other => panic!("{other:?}"),
        }
    } else if !value.is_empty() {
        assert_eq!(body.strip_prefix("k="), Some(&*value));
    }
    if let Some(request) = fuzz::request(bytes) {
        let conf = request.conf.object();
        if let Ok(settings) = Settings::parse(conf) {
            assert_eq!(settings, Settings::understood(conf));
        }
    }
});
