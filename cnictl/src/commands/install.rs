//! `install`: the plugins into a directory that runtimes use, by [`crate::install`].

use std::path::{Path, PathBuf};
use std::{env, fs};

use common::{Code, Context, Error};

use super::print;
use crate::cli::install::Install;
use crate::install::{self, File, Replaced, told};
use crate::plugins::Plugin;

pub fn run(args: &Install) -> Result<u8, Error> {
    let plugins = Plugin::chosen(&args.plugins);
    let from = match &args.from {
        Some(dir) => dir.clone(),
        None => beside(&plugins)?,
    };
    let files: Result<Vec<File>, Error> = plugins.iter().map(|one| read(&from, *one)).collect();
    let replaced = match args.backup {
        true => Replaced::Kept,
        false => Replaced::Dropped,
    };
    let done = install::install(files?, &args.dir, replaced);
    print(&told(&done.map_err(install::failure)?))
}

fn read(from: &Path, plugin: Plugin) -> Result<File, Error> {
    let path = from.join(plugin.name());
    let bytes = fs::read(&path).context(Code::Io, || format!("read {}", path.display()))?;
    Ok(File {
        name: plugin.name().to_owned(),
        bytes,
    })
}

/// Where the plugins of this program are: in the image, in the tarball, in the Debian package.
fn beside(plugins: &[Plugin]) -> Result<PathBuf, Error> {
    let program = env::current_exe().context(Code::Io, || "find this program".into())?;
    let places = ["plugins", ".", "../lib/cni"].map(|place| program.with_file_name(place));
    let has_any = |dir: &&PathBuf| plugins.iter().any(|one| dir.join(one.name()).exists());
    places.iter().find(has_any).cloned().ok_or_else(|| {
        let msg = format!("no plugins beside {}", program.display());
        Error::new(Code::Io, msg).with_details("--from DIR says where they are")
    })
}
