//! Other attachments on the node, in the shapes that both backends give them: as many as wanted in one
//! go, since adding them one by one would take longer than the measurement.

use std::fmt::Write;
use std::io;
use std::process::Stdio;

use sandbox::Namespace;

/// The first host port of the others.
pub const FIRST_PORT: u16 = 20_000;

/// Fills our nftables table with so many attachments of one TCP port each that lead to one container.
/// There must be an attachment already, of a container in 10.22.0.0/16.
///
/// # Errors
/// When nft refuses.
pub fn nftables(host: &Namespace, count: u16) -> io::Result<()> {
    let mut script = String::new();
    for number in 0..count {
        let (port, owner) = (FIRST_PORT + number, owner(number));
        for (set, network, target) in [
            ("ip cni_portmap hostports", "", " : 10.22.0.2 . 80"),
            ("ip cni_portmap localhost", "", ""),
            ("ip cni_portmap hairpin16", "10.22.0.0 . ", ""),
        ] {
            // Writing to a String cannot fail.
            let _ = writeln!(
                script,
                "add element {set} {{ {network}tcp . {port} comment \"{owner}\"{target} }}"
            );
        }
    }
    feed(host, &["nft", "-f", "-"], &script)
}

/// Fills the IPv4 nat table with so many attachments of one TCP port each that lead to one container,
/// as the iptables backend of either implementation has them. There must be one already.
///
/// # Errors
/// When iptables-restore refuses.
pub fn iptables(host: &Namespace, variant: &str, count: u16) -> io::Result<()> {
    let (mut chains, mut rules) = (String::from("*nat\n"), String::new());
    for number in 0..count {
        let port = FIRST_PORT + number;
        let chain = format!("CNI-DN-bench{number:016}");
        let _ = writeln!(chains, ":{chain} - [0:0]");
        let comment = format!("dnat name: \\\"net1\\\" id: \\\"{number:064x}\\\"");
        let matches = format!("-p tcp -m tcp --dport {port}");
        let _ = write!(
            rules,
            "-A {chain} -s 10.22.0.0/16 {matches} -j CNI-HOSTPORT-SETMARK\n\
             -A {chain} -s 127.0.0.1/32 {matches} -j CNI-HOSTPORT-SETMARK\n\
             -A {chain} {matches} -j DNAT --to-destination 10.22.0.2:80\n\
             -A CNI-HOSTPORT-DNAT -p tcp -m comment --comment \"{comment}\" \
             -m multiport --dports {port} -j {chain}\n"
        );
    }
    restore(host, variant, &format!("{chains}{rules}COMMIT\n"))
}

/// Feeds `iptables-restore` of a variant, `nft` or `legacy`.
///
/// # Errors
/// When it refuses.
pub fn restore(host: &Namespace, variant: &str, input: &str) -> io::Result<()> {
    let program = format!("iptables-{variant}-restore");
    feed(host, &[&program, "--noflush", "-w"], input)
}

fn owner(number: u16) -> String {
    format!("net1/{number:064x}/eth0")
}

fn feed(host: &Namespace, line: &[&str], input: &str) -> io::Result<()> {
    let (program, arguments) = line.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut child = host
        .command(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        io::Write::write_all(&mut stdin, input.as_bytes())?;
    }
    match child.wait()?.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{program} refuses its input"))),
    }
}
