//! A pod, as kubelet reads it from a file.

use serde_json::{Value, json};

use crate::image;

/// A pod, as a user writes it.
#[derive(Debug, Clone)]
pub struct Manifest {
    pub(crate) name: String,
    page: String,
    ports: Vec<Value>,
    annotations: Value,
}

impl Manifest {
    /// A pod that serves [`image::PAGE`] on its port 8000 and asks for nothing else.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            page: image::PAGE.to_owned(),
            ports: Vec::new(),
            annotations: json!({}),
        }
    }

    /// With a host port (`TCP`, `UDP`, `SCTP`), on one address if `host_ip` has one.
    #[must_use]
    pub fn port(mut self, protocol: &str, host_ip: &str, host: u16, container: u16) -> Self {
        let mut port = json!({"containerPort": container, "hostPort": host, "protocol": protocol});
        if !host_ip.is_empty() {
            port["hostIP"] = host_ip.into();
        }
        self.ports.push(port);
        self
    }

    /// With a page of its own.
    #[must_use]
    pub fn page(mut self, page: &str) -> Self {
        page.clone_into(&mut self.page);
        self
    }

    /// With both limits, in Kubernetes' form (`10M`).
    #[must_use]
    pub fn limits(mut self, ingress: &str, egress: &str) -> Self {
        self.annotations = json!({
            "kubernetes.io/ingress-bandwidth": ingress,
            "kubernetes.io/egress-bandwidth": egress,
        });
        self
    }

    pub(crate) fn text(&self) -> String {
        // The first process of the pod serves on port 80 already.
        let serve = format!(
            "busybox mkdir /page; printf '{}' >/page/index.html; exec busybox httpd -f -p 8000 -h /page",
            self.page.replace('\n', "\\n")
        );
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self.name, "namespace": "default", "annotations": self.annotations,
            },
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "automountServiceAccountToken": false,
                "enableServiceLinks": false,
                "containers": [{
                    "name": "web", "image": image::NAME, "imagePullPolicy": "Never",
                    "command": ["/bin/busybox", "sh", "-c", serve],
                    "ports": self.ports,
                }],
            },
        })
        .to_string()
    }
}
