//! The image: an OCI archive, whose layout is that of
//! <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>.

use serde_json::{Value, json};

use crate::archive::{self, Member};
use crate::{ARCH, VERSION, elf, made};

fn blobs() -> Vec<Member> {
    let bytes = std::fs::read(made(&format!(
        "cni-meta-plugins-image-{ARCH}-v{VERSION}.tar"
    )))
    .unwrap();
    archive::members(&bytes)
}

/// The JSON document at this path, or of this digest.
fn document(blobs: &[Member], name: &Value) -> Value {
    let name = name.as_str().unwrap();
    serde_json::from_slice(&blob(blobs, name).bytes).unwrap()
}

fn blob<'a>(blobs: &'a [Member], name: &str) -> &'a Member {
    let path = name.replace("sha256:", "blobs/sha256/");
    blobs.iter().find(|b| b.name == path).unwrap()
}

#[test]
fn the_image_holds_the_tool_the_plugins_and_the_licences_and_nothing_else() {
    let blobs = blobs();
    let index = document(&blobs, &json!("index.json"));
    let manifest = document(&blobs, &index["manifests"][0]["digest"]);
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    let layer = blob(&blobs, layers[0]["digest"].as_str().unwrap());
    let members = archive::members(&unzipped(&layer.bytes));
    let mut files: Vec<(&str, u64)> = Vec::new();
    for member in &members {
        assert_eq!((member.uid, member.gid), (0, 0), "{}", member.name);
        if member.kind == '0' {
            files.push((member.name.as_str(), member.mode));
        }
        if member.mode == 0o755 && member.kind == '0' {
            elf::assert_static(&member.name, &member.bytes);
        }
    }
    files.sort_unstable();
    let expected = [
        ("LICENSE", 0o644),
        ("THIRD-PARTY", 0o644),
        ("cnictl", 0o755),
        ("plugins/bandwidth", 0o755),
        ("plugins/portmap", 0o755),
        ("plugins/tuning", 0o755),
    ];
    assert_eq!(files, expected);
    let config = document(&blobs, &manifest["config"]["digest"]);
    assert_eq!(config["config"]["Entrypoint"], json!(["/cnictl"]));
    assert_eq!(config["architecture"], ARCH);
}

fn unzipped(bytes: &[u8]) -> Vec<u8> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("layer.gz");
        std::fs::write(&path, bytes).unwrap();
        return crate::output("gzip", &["-dc", path.to_str().unwrap()]);
    }
    bytes.to_vec()
}
