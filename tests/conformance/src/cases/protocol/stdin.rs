//! What may come on stdin.

use serde_json::{Value, json};

use crate::case::Table;
use crate::failure::ensure;
use crate::lab::Lab;

/// Cases of stdin.
pub fn cases(table: &mut Table) {
    for (name, bytes) in [
        ("nothing", &b""[..]),
        ("blanks", b"  \n\t "),
        ("a brace", b"{"),
        ("half a key", b"{\"cniVersion"),
        ("a list", b"[]"),
        ("a number", b"5"),
        ("text", b"\"x\""),
        ("true", b"true"),
        ("no JSON", b"hello"),
        ("NUL", b"\0"),
        ("a comma too many", b"{\"cniVersion\":\"1.0.0\",}"),
        ("single quotes", b"{'cniVersion':'1.0.0'}"),
        ("a comment", b"{} // x"),
        (
            "a byte order mark",
            b"\xef\xbb\xbf{\"cniVersion\":\"1.0.0\",\"name\":\"n\"}",
        ),
        (
            "NaN",
            b"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"x\":NaN}",
        ),
        (
            "Infinity",
            b"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"x\":Infinity}",
        ),
        (
            "a raw newline in a string",
            b"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"x\":\"a\nb\"}",
        ),
        (
            "a bad escape",
            b"{\"cniVersion\":\"1.0.0\",\"name\":\"n\",\"x\":\"\\q\"}",
        ),
        ("UTF-16", b"\xff\xfe{\0}\0"),
        (
            "a version that is a number",
            b"{\"cniVersion\":1.0,\"name\":\"n\"}",
        ),
        (
            "a name that is a number",
            b"{\"cniVersion\":\"1.0.0\",\"name\":5}",
        ),
    ] {
        for verb in ["ADD", "CHECK"] {
            table.case(
                format!("{verb} refuses {name} on stdin as undecodable and changes nothing"),
                move |lab| {
                    let pods = lab.pod()?;
                    let before = pods.state()?;
                    pods.usual().raw(bytes).call(verb)?.code(6)?;
                    pods.unchanged(&before)
                },
            );
        }
        table.case(
            format!("DEL with {name} on stdin is answered in an orderly way"),
            move |lab| {
                let pods = lab.pod()?;
                pods.usual().raw(bytes).del()?.orderly()
            },
        );
    }
    table.case("a second document on stdin is refused", |lab| {
        trailing(lab, " {}")
    });
    table.case("garbage behind the document is refused", |lab| {
        trailing(lab, " x")
    });
    table.case("blanks behind the document are fine", |lab| {
        let pods = lab.pod()?;
        let text = pods.usual().conf().to_string();
        pods.usual().raw(format!("\n {text} \n\n")).add()?.ok()
    });
    table.case("null on stdin is refused", |lab| {
        let pods = lab.pod()?;
        pods.usual().raw("null").add()?.error().map(drop)
    });
    table.case(
        "invalid UTF-8 in a string that nobody reads is accepted",
        |lab| {
            let pods = lab.pod()?;
            let mut bytes = pods
                .usual()
                .with(json!({"zzz": "MARK"}))
                .conf()
                .to_string()
                .into_bytes();
            let at = bytes.windows(4).position(|part| part == b"MARK");
            if let Some(byte) = at.and_then(|at| bytes.get_mut(at)) {
                *byte = 0xff
            }
            pods.usual().raw(bytes).add()?.ok()
        },
    );
    for (name, key, value) in [
        ("an unknown key", "whatever", json!({"a": [1, null, "x"]})),
        ("an unknown key of null", "whatever", Value::Null),
        ("ipam", "ipam", json!({"type": "host-local"})),
        ("dns", "dns", json!({"nameservers": ["1.1.1.1"]})),
        (
            "capabilities",
            "capabilities",
            json!({"portMappings": true, "x": false}),
        ),
        ("an empty key", "", json!(1)),
        ("a key with a dot", "cni.dev/x", json!(1)),
    ] {
        table.case(
            format!("{name} in the configuration is ignored"),
            move |lab| {
                let pods = lab.pod()?;
                pods.usual().set(key, value.clone()).added()?.check()?.ok()
            },
        );
    }
    for depth in [1000, 9000] {
        table.case(
            format!("{depth} lists within each other are read"),
            move |lab| {
                let pods = lab.pod()?;
                nested(lab, depth).and_then(|raw| pods.usual().raw(raw).add()?.ok())
            },
        );
    }
    for depth in [20_000, 1_000_000] {
        table.case(
            format!("{depth} lists within each other are refused without a crash"),
            move |lab| {
                let pods = lab.pod()?;
                let raw = nested(lab, depth)?;
                pods.usual().raw(raw).add()?.error().map(drop)
            },
        );
    }
    table.case("a configuration of 8 MiB is read", |lab| {
        let pods = lab.pod()?;
        pods.usual()
            .with(json!({"zzz": "x".repeat(8 << 20)}))
            .add()?
            .ok()
    });
    table.case(
        "a configuration of 64 MiB is answered in an orderly way",
        |lab| {
            let pods = lab.pod()?;
            let before = pods.state()?;
            let mut bytes = vec![b' '; 64 << 20];
            bytes.extend_from_slice(pods.usual().conf().to_string().as_bytes());
            let reply = pods.usual().raw(bytes).add()?;
            reply.orderly()?;
            if reply.ok().is_err() {
                pods.unchanged(&before)?
            }
            Ok(())
        },
    );
    for (name, number) in [
        ("1e999", "1e999"),
        ("a number of 1000 digits", ""),
        ("half of a surrogate pair", "\"\\ud800\""),
        ("-0", "-0"),
        ("1E-5", "1E-5"),
    ] {
        table.case(
            format!("{name} in a key that nobody reads is read"),
            move |lab| {
                let pods = lab.pod()?;
                let number = if number.is_empty() {
                    "9".repeat(1000)
                } else {
                    number.to_owned()
                };
                let raw = pods
                    .usual()
                    .with(json!({"zzz": "MARK"}))
                    .conf()
                    .to_string()
                    .replacen("\"MARK\"", &number, 1);
                pods.usual().raw(raw).add()?.ok()
            },
        );
    }
}

fn trailing(lab: &Lab, text: &str) -> crate::failure::Verdict {
    let pods = lab.pod()?;
    let before = pods.state()?;
    let raw = pods.usual().conf().to_string() + text;
    pods.usual().raw(raw).add()?.error()?;
    pods.unchanged(&before)
}

/// The usual request with an unknown key of that many lists.
fn nested(lab: &Lab, depth: usize) -> Result<String, crate::failure::Failure> {
    let pods = lab.pod()?;
    let text = pods.usual().with(json!({"zzz": "MARK"})).conf().to_string();
    ensure(text.contains("MARK"), || "no place for the lists".into())?;
    Ok(text.replacen(
        "\"MARK\"",
        &format!("{}{}", "[".repeat(depth), "]".repeat(depth)),
        1,
    ))
}
