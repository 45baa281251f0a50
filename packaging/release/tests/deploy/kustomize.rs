//! What `kubectl apply -k` applies: as much of kustomize as packaging/kubernetes uses. It fails where kustomize would:
//! an unknown field, a resource that is not there, a patch whose target or path is not there. And where
//! it would not: an image that nobody uses.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kustomization {
    api_version: String,
    kind: String,
    namespace: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    components: Vec<String>,
    #[serde(default)]
    images: Vec<Image>,
    #[serde(default)]
    patches: Vec<Patch>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Image {
    name: String,
    new_name: String,
    new_tag: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    target: Target,
    patch: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    kind: String,
    name: String,
}

/// RFC 6902.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
enum Operation {
    Replace { path: String, value: Value },
    Add { path: String, value: Value },
}

impl Operation {
    /// Whether the path was there: for `add` that of the object, or of the list at whose end (`-`) it adds.
    fn apply(self, object: &mut Value) -> bool {
        match self {
            Operation::Replace { path, value } => match object.pointer_mut(&path) {
                Some(place) => *place = value,
                None => return false,
            },
            Operation::Add { path, value } => {
                let Some((parent, key)) = path.rsplit_once('/') else {
                    return false;
                };
                match object.pointer_mut(parent) {
                    Some(Value::Array(list)) if key == "-" => list.push(value),
                    Some(Value::Object(fields)) => drop(fields.insert(key.to_owned(), value)),
                    _ => return false,
                }
            }
        }
        true
    }
}

/// The objects of a directory with a kustomization.yaml.
pub fn build(dir: &Path) -> Vec<Value> {
    let this = kustomization(dir);
    assert_eq!(this.api_version, "kustomize.config.k8s.io/v1beta1");
    assert_eq!(this.kind, "Kustomization");
    let mut objects = Vec::new();
    for resource in &this.resources {
        let path = dir.join(resource);
        match path.is_dir() {
            true => objects.extend(build(&path)),
            false => objects.push(read(&path)),
        }
    }
    for component in &this.components {
        change(&dir.join(component), &mut objects);
    }
    apply(dir, &this, &mut objects);
    objects
}

/// What a directory's component makes of objects.
pub fn change(dir: &Path, objects: &mut [Value]) {
    let this = kustomization(dir);
    assert_eq!(this.api_version, "kustomize.config.k8s.io/v1alpha1");
    assert_eq!(this.kind, "Component");
    assert!(this.resources.is_empty() && this.components.is_empty());
    apply(dir, &this, objects);
}

fn kustomization(dir: &Path) -> Kustomization {
    let path = dir.join("kustomization.yaml");
    let text = fs::read_to_string(&path).unwrap();
    serde_norway::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Namespace, patches and images.
fn apply(dir: &Path, this: &Kustomization, objects: &mut [Value]) {
    let told = |what: &dyn std::fmt::Display| format!("{}: {what}", dir.display());
    for object in &mut *objects {
        if let Some(namespace) = &this.namespace {
            let key = if object["kind"] == "Namespace" {
                "name"
            } else {
                "namespace"
            };
            object["metadata"][key] = json!(namespace);
        }
    }
    for patch in &this.patches {
        let Target { kind, name } = &patch.target;
        let is_it = |o: &&mut Value| o["kind"] == **kind && o["metadata"]["name"] == **name;
        let object = objects.iter_mut().find(is_it);
        let object = object.unwrap_or_else(|| panic!("{}", told(&format!("no {kind} {name}"))));
        let operations: Vec<Operation> = serde_norway::from_str(&patch.patch).unwrap();
        for operation in operations {
            let shown = format!("{operation:?}");
            assert!(operation.apply(object), "{}", told(&shown));
        }
    }
    for image in &this.images {
        let used = objects
            .iter_mut()
            .map(|object| set_image(object, image))
            .sum::<usize>();
        assert_ne!(used, 0, "{}", told(&image.name));
    }
}

pub fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_norway::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Gives the image its name and tag in all containers, and says in how many.
fn set_image(object: &mut Value, image: &Image) -> usize {
    let mut count = 0;
    for key in ["initContainers", "containers"] {
        let containers = object["spec"]["template"]["spec"][key].as_array_mut();
        for container in containers.into_iter().flatten() {
            if container["image"] == *image.name {
                container["image"] = json!(format!("{}:{}", image.new_name, image.new_tag));
                count += 1;
            }
        }
    }
    count
}
