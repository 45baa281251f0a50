//! `install` and `uninstall`: the running binary in a directory of plugins, whole at any moment.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::args::Args;
use super::{Command, Failure, print};
use crate::error::{Code, Context, Error};
use crate::plugin::Plugin;
use crate::sys::file;

/// The running binary, also where its file has been replaced.
const SELF: &str = "/proc/self/exe";
/// Where the node installer of deploy/ keeps what it replaced.
const INSTALLER: &str = ".cni-meta-plugins";

/// The command `install`.
pub fn install<P: Plugin>() -> Command {
    Command {
        name: "install",
        arguments: "DIR [--backup]",
        about: "copy this binary into a directory of plugins, atomically",
        options: &[(
            "--backup",
            "keep what is there under the plugin's name, for uninstall",
        )],
        run: run_install::<P>,
    }
}

/// The command `uninstall`.
pub fn uninstall<P: Plugin>() -> Command {
    Command {
        name: "uninstall",
        arguments: "DIR",
        about: "put back what install --backup kept, or remove this binary",
        options: &[],
        run: run_uninstall::<P>,
    }
}

/// The paths of one plugin in a directory.
struct Place {
    dir: PathBuf,
    target: PathBuf,
    kept: PathBuf,
    temporary: PathBuf,
}

impl Place {
    fn of(dir: &str, name: &str) -> Result<Place, Error> {
        let dir = PathBuf::from(dir);
        if dir.join(INSTALLER).exists() {
            let msg = format!("{} is kept by the node installer", dir.display());
            let why = format!("it has {INSTALLER}; use the installer's own restore");
            return Err(Error::new(Code::InvalidConfig, msg).with_details(why));
        }
        Ok(Place {
            target: dir.join(name),
            kept: dir.join(format!(".{name}.before")),
            temporary: file::temporary(&dir, name),
            dir,
        })
    }

    fn sync(&self) -> Result<(), Error> {
        File::open(&self.dir)
            .and_then(|dir| dir.sync_all())
            .context(Code::Io, || format!("sync {}", self.dir.display()))
    }

    /// Keeps the present file, the first one only: that is the one to return to.
    fn keep(&self) -> Result<(), Error> {
        match fs::hard_link(&self.target, &self.kept) {
            Err(cause) if is_settled(cause.kind()) => Ok(()),
            done => done.context(Code::Io, || format!("keep {}", self.target.display())),
        }
    }

    fn put(&self, bytes: &[u8]) -> Result<(), Error> {
        write_program(&self.temporary, bytes)
            .and_then(|()| fs::rename(&self.temporary, &self.target))
            .inspect_err(|_| {
                // The first failure is the one to tell.
                let _ = fs::remove_file(&self.temporary);
            })
            .context(Code::Io, || format!("write {}", self.target.display()))?;
        self.sync()
    }
}

/// Nothing was there, or something is kept already.
fn is_settled(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists)
}

fn write_program(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(path)?;
    file.write_all(bytes)?;
    // After the fact: the umask applies to the mode of open(2).
    file.set_permissions(Permissions::from_mode(0o755))?;
    file.sync_all()
}

fn own_bytes() -> Result<Vec<u8>, Error> {
    fs::read(SELF).context(Code::Io, || format!("read {SELF}"))
}

fn run_install<P: Plugin>(mut args: Args) -> Result<u8, Failure> {
    let keeps = args.flag("--backup");
    let place = Place::of(&args.one("the directory")?, P::NAME)?;
    let bytes = own_bytes()?;
    let target = place.target.display();
    if file::read(&place.target)?.is_some_and(|present| present == bytes) {
        return print(&format!("{target} is installed already\n"));
    }
    if keeps {
        place.keep()?;
    }
    place.put(&bytes)?;
    let kept = match place.kept.symlink_metadata() {
        Ok(_) => format!(", {} is what was there", place.kept.display()),
        Err(_) => String::new(),
    };
    print(&format!("{target} is installed{kept}\n"))
}

fn run_uninstall<P: Plugin>(args: Args) -> Result<u8, Failure> {
    let place = Place::of(&args.one("the directory")?, P::NAME)?;
    let target = place.target.display();
    let present = file::read(&place.target)?;
    if present.is_some_and(|present| own_bytes().is_ok_and(|own| own != present)) {
        let msg = format!("{target} is another binary than this one");
        let why = "somebody replaced it, or run its own uninstall";
        return Err(Error::new(Code::InvalidConfig, msg)
            .with_details(why)
            .into());
    }
    let told = match fs::rename(&place.kept, &place.target) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            file::remove(&place.target)?;
            format!("{target} is removed\n")
        }
        done => {
            done.context(Code::Io, || format!("put {target} back"))?;
            format!("{target} is what was there before\n")
        }
    };
    place.sync()?;
    print(&told)
}
