//! `version`: the versions of the specification that each plugin of a network supports.

use serde_json::{Value, json};

use super::runner::print;
use crate::cli::network::Whole;
use crate::runner::chain::Versions;
use crate::runner::{Error, Result, setup};

pub fn run(whole: &Whole) -> Result<()> {
    let network = setup::network(&whole.common, &whole.network)?;
    let versions = setup::runner(&whole.common).versions(&network)?;
    let wanted = network
        .version()?
        .map(|number| number.to_string())
        .join(".");
    match whole.common.json {
        true => {
            let plugins: Vec<Value> = versions.iter().map(json).collect();
            let document =
                json!({"network": network.name, "cniVersion": wanted, "plugins": plugins});
            print(&format!("{document:#}"))?;
        }
        false => print(text(&versions).trim_end())?,
    }
    let lacking = versions.iter().filter(|v| !v.supported.contains(&wanted));
    let lacking = lacking.map(|v| {
        let problem = format!("plugin {} does not support cniVersion {wanted}", v.plugin);
        Error::config(&network.name, problem)
    });
    Error::join(lacking.collect())
}

fn json(versions: &Versions) -> Value {
    let Versions {
        plugin,
        path,
        supported,
    } = versions;
    json!({"plugin": plugin, "path": path, "supportedVersions": supported})
}

fn text(all: &[Versions]) -> String {
    let width = all.iter().map(|v| v.plugin.len()).max().unwrap_or_default();
    let line = |v: &Versions| {
        let (supported, path) = (v.supported.join(" "), v.path.display());
        format!("{:width$}  {supported}  {path}\n", v.plugin)
    };
    all.iter().map(line).collect()
}
