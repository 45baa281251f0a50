//! Requests and answers as `--trace` shows them.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::runner::answer::Answer;
use crate::runner::request::Request;

/// `-> ADD bridge`, its program, the `CNI_*` variables, and the document on stdin, indented.
pub fn request_text(request: &Request, program: &Path) -> String {
    let mut text = format!(
        "-> {} {} ({})\n",
        request.verb,
        request.plugin,
        program.display()
    );
    for (key, value) in &request.env {
        let _ = writeln!(text, "   {key}={value}");
    }
    text + &document("stdin", &request.stdin)
}

/// `<- ADD bridge`, how it ended, the time, and what it printed, indented.
pub fn answer_text(request: &Request, answer: &Answer, took: Duration) -> String {
    let milliseconds = took.as_secs_f64() * 1000.0;
    let mut text = format!(
        "<- {} {}: {}, {milliseconds:.1} ms\n",
        request.verb, request.plugin, answer.status
    );
    if !answer.stdout.is_empty() {
        text += &document("stdout", &answer.stdout);
    }
    if !answer.stderr.is_empty() {
        text += &document("stderr", &answer.stderr);
    }
    text
}

/// JSON with indentation, anything else as it is.
fn document(stream: &str, bytes: &[u8]) -> String {
    let pretty = serde_json::from_slice::<Value>(bytes)
        .and_then(|value| serde_json::to_string_pretty(&value));
    let body = pretty.unwrap_or_else(|_| String::from_utf8_lossy(bytes).into_owned());
    format!(
        "   {stream}:\n     {}\n",
        body.trim_end().replace('\n', "\n     ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::request;

    #[test]
    fn a_trace_shows_variables_and_documents() {
        let request = request::version("bridge");
        assert_eq!(
            request_text(&request, Path::new("/opt/cni/bin/bridge")),
            "-> VERSION bridge (/opt/cni/bin/bridge)\n   CNI_COMMAND=VERSION\n   CNI_CONTAINERID=\n   \
             CNI_NETNS=dummy\n   CNI_ARGS=\n   CNI_IFNAME=dummy\n   CNI_PATH=dummy\n   stdin:\n     {\n       \
             \"cniVersion\": \"1.1.0\"\n     }\n"
        );
        let answer = Answer {
            status: "exit status: 1".into(),
            stdout: b"no\nJSON\n".to_vec(),
            ..Answer::default()
        };
        assert_eq!(
            answer_text(&request, &answer, Duration::from_micros(1250)),
            "<- VERSION bridge: exit status: 1, 1.2 ms\n   stdout:\n     no\n     JSON\n"
        );
    }
}
