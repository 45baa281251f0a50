//! The trace that the runtime's call belongs to.
//!
//! libcni gives it to plugins in the variables TRACEPARENT, TRACESTATE and BAGGAGE, as OpenTelemetry's
//! proposal 0258 names them. Only the first is read: the others may hold anything.

/// The variable that holds it.
pub const VARIABLE: &str = "TRACEPARENT";

/// The place of a call in a trace, as W3C Trace Context writes it, each in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The trace, 32 digits.
    pub trace_id: String,
    /// The caller's span, 16 digits.
    pub span_id: String,
    /// Flags, 2 digits: the last bit says that the caller records the trace.
    pub flags: String,
}

impl Trace {
    /// Reads `VERSION-TRACE-SPAN-FLAGS`; `None` for anything that is to be ignored by the W3C's rules.
    /// Later versions may have more fields after these.
    pub fn parse(text: &str) -> Option<Trace> {
        let mut parts = text.split('-');
        let version = digits(parts.next()?, 2)?;
        let trace_id = digits(parts.next()?, 32)?;
        let span_id = digits(parts.next()?, 16)?;
        let flags = digits(parts.next()?, 2)?;
        let is_sound = version != "ff"
            && (version != "00" || parts.next().is_none())
            && is_set(trace_id)
            && is_set(span_id);
        is_sound.then(|| Trace {
            trace_id: trace_id.to_owned(),
            span_id: span_id.to_owned(),
            flags: flags.to_owned(),
        })
    }
}

fn digits(part: &str, length: usize) -> Option<&str> {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (part.len() == length && part.bytes().all(is_digit)).then_some(part)
}

fn is_set(id: &str) -> bool {
    id.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_sound_one_is_taken_apart() {
        for text in [
            format!("00-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01"),
            format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings"),
        ] {
            let trace = Trace::parse(&text).unwrap();
            assert_eq!(
                (trace.trace_id.as_str(), trace.span_id.as_str()),
                (TRACE, SPAN)
            );
            assert_eq!(trace.flags, "01", "{text}");
        }
    }

    #[test]
    fn anything_else_is_ignored() {
        let upper = TRACE.to_uppercase();
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            "00".into(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-"),
            format!("00-{TRACE}-{SPAN}-1"),
            format!("00-{TRACE}-{SPAN}-01-"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("00-{TRACE}-{SPAN}-01 "),
            format!("cc-{TRACE}-{SPAN}-01more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("0-{TRACE}-{SPAN}-01"),
            format!("00-{upper}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{TRACE}0-{SPAN}-01"),
            format!("00-{}-{SPAN}-01", "g".repeat(32)),
            format!("00-{}-{SPAN}-01", "é".repeat(16)),
            format!("00-{TRACE}-{SPAN}-01\nlevel=error"),
        ] {
            assert_eq!(Trace::parse(&text), None, "{text:?}");
        }
    }
}
