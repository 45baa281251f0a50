//! As much of the Kubernetes API as kube-proxy 1.20 reads: Services, EndpointSlices and its node, listed and
//! watched (<https://kubernetes.io/docs/reference/using-api/api-concepts/>).

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::Namespace;

/// Between two looks of a watch at what has changed.
const PAUSE: Duration = Duration::from_millis(100);

/// Where Services are reached from inside.
const CLUSTER_IP: &str = "10.95.0.10";

/// The objects, each set with a version of the API and a kind.
#[derive(Debug, Default)]
struct Objects {
    version: u64,
    services: Vec<Value>,
    slices: Vec<Value>,
}

/// A server, until the process ends.
#[derive(Debug)]
pub struct Api {
    objects: Arc<Mutex<Objects>>,
    address: SocketAddr,
}

impl Api {
    /// Serves on loopback of a namespace.
    ///
    /// # Errors
    /// When there is no port to listen on.
    pub fn start(host: &Namespace) -> io::Result<Self> {
        let listener = host.run(|| TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let objects = Arc::new(Mutex::new(Objects::default()));
        let shared = Arc::clone(&objects);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let objects = Arc::clone(&shared);
                // A connection ends with its client.
                thread::spawn(move || serve(stream, &objects));
            }
        });
        Ok(Self { objects, address })
    }

    /// Where it serves.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where the Service is reached from inside.
    #[must_use]
    pub fn service(&self) -> SocketAddr {
        SocketAddr::new(IpAddr::from([10, 95, 0, 10]), 80)
    }

    /// One Service of type NodePort that leads to port 8000 of a pod.
    pub fn set_service(&self, node_port: u16, pod: IpAddr) {
        let port = json!({
            "name": "http", "protocol": "TCP", "port": 80, "targetPort": 8000, "nodePort": node_port,
        });
        let service = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web", "namespace": "default", "uid": "s1"},
            "spec": {
                "type": "NodePort", "clusterIP": CLUSTER_IP, "clusterIPs": [CLUSTER_IP],
                "sessionAffinity": "None", "externalTrafficPolicy": "Cluster",
                "selector": {"app": "web"}, "ports": [port],
            },
        });
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1beta1", "kind": "EndpointSlice",
            "metadata": {
                "name": "web-1", "namespace": "default", "uid": "e1",
                "labels": {"kubernetes.io/service-name": "web"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [pod.to_string()], "conditions": {"ready": true}}],
            "ports": [{"name": "http", "protocol": "TCP", "port": 8000}],
        });
        let mut objects = self.objects.lock().unwrap_or_else(PoisonError::into_inner);
        objects.version += 1;
        (objects.services, objects.slices) = (vec![service], vec![slice]);
    }
}

/// Requests of one connection, one after the other.
fn serve(stream: TcpStream, objects: &Mutex<Objects>) -> io::Result<()> {
    let mut output = stream.try_clone()?;
    let mut input = BufReader::new(stream);
    while let Some(target) = request(&mut input)? {
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        if query.contains("watch=") {
            return watch(&mut output, path, objects);
        }
        let (status, body) = match listed(path, objects) {
            Some((version, items)) => {
                let metadata = json!({"resourceVersion": version.to_string()});
                (
                    "200 OK",
                    json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items}),
                )
            }
            None => (
                "404 Not Found",
                json!({"kind": "Status", "status": "Failure", "code": 404}),
            ),
        };
        let body = body.to_string();
        let length = body.len();
        write!(
            output,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
    }
    Ok(())
}

/// The target of the next request, whose body is read and dropped; none at the end.
fn request(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let (mut target, mut length, mut line) = (None, 0, String::new());
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let text = line.trim_end();
        if text.is_empty() {
            io::copy(&mut input.take(length), &mut io::sink())?;
            return Ok(target);
        }
        if target.is_none() {
            target = text.split(' ').nth(1).map(str::to_owned);
        }
        if let Some((name, value)) = text.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
}

/// The objects below a path, with the version of the whole.
fn listed(path: &str, objects: &Mutex<Objects>) -> Option<(u64, Vec<Value>)> {
    let objects = objects.lock().unwrap_or_else(PoisonError::into_inner);
    let items = match path {
        "/api/v1/services" => objects.services.clone(),
        "/apis/discovery.k8s.io/v1beta1/endpointslices" => objects.slices.clone(),
        _ => return None,
    };
    let version = objects.version;
    let stamp = |mut item: Value| {
        item["metadata"]["resourceVersion"] = version.to_string().into();
        item
    };
    Some((version, items.into_iter().map(stamp).collect()))
}

/// Every change from now on, one object a chunk. Ends with the client.
fn watch(output: &mut impl Write, path: &str, objects: &Mutex<Objects>) -> io::Result<()> {
    write!(
        output,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )?;
    // The client may have listed before the last change: it takes an object that it knows once more.
    let mut seen = 0;
    while let Some((version, items)) = listed(path, objects) {
        if version != seen {
            seen = version;
            for item in items {
                let event = format!("{}\n", json!({"type": "MODIFIED", "object": item}));
                write!(output, "{:x}\r\n{event}\r\n", event.len())?;
            }
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}
