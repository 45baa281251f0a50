//! What the kernel refuses.

use std::fmt;

use nix::errno::Errno;

/// What the kernel refused, in its words where it gave some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error's number.
    pub errno: Errno,
    /// The kernel's explanation (`NLMSGERR_ATTR_MSG`); often empty.
    pub text: String,
    /// Whether it is the kernel's answer to a request. If not, a system call failed, and nothing is
    /// known of what was requested.
    pub is_answer: bool,
}

impl Refusal {
    /// Whether the kernel answered that what the request names is not there.
    pub fn is_absence(&self) -> bool {
        self.says(&[Errno::ENOENT])
    }

    /// Whether the kernel answered with one of these.
    pub fn says(&self, errnos: &[Errno]) -> bool {
        self.is_answer && errnos.contains(&self.errno)
    }
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Refusal {
        Refusal {
            errno,
            text: String::new(),
            is_answer: false,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.errno.desc())?;
        if !self.text.is_empty() {
            write!(f, " ({})", self.text)?;
        }
        Ok(())
    }
}
