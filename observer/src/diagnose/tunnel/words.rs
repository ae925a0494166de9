//! What several checks say in the same words.

use crate::{
    model::tunnel::Tunnel,
    snapshot::{Name, tcp::Owner},
};

/// A tunnel for people.
pub(super) fn tunnel(t: &Tunnel) -> String {
    let place = t.namespace.as_ref().filter(|_| !t.own).map_or(String::new(), |n| format!(" in netns {n}"));
    format!("tunnel {}{place}", t.name)
}

/// What has to stand before a command so that it acts in the tunnel's namespace, with a space behind it; nothing if that is
/// observer's own.
pub(super) fn enter(t: &Tunnel) -> String {
    match &t.process {
        _ if t.own => String::new(),
        Some(process) => format!("nsenter -t {} -n ", process.pid),
        None => t.namespace.as_ref().map_or(String::new(), |name| format!("ip netns exec {} ", shell(name))),
    }
}

/// The same for the namespace of the underlay; where that is another one, a person has to find the way there.
pub(super) fn enter_underlay(t: &Tunnel) -> String {
    if t.underlay_netns == t.netns { enter(t) } else { String::new() }
}

/// A change of the tunnel's interface, as a command.
pub(super) fn ip_link(t: &Tunnel, change: &str) -> String {
    format!("{}ip link set dev {} {change}", enter(t), shell(&t.name))
}

/// A name as a word of a shell. It was chosen by somebody else: what is not a plain letter is quoted.
pub(super) fn shell(name: &Name) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.-@:+".contains(c);
    let text = name.as_str();
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// A process for people.
pub(super) fn owner(owner: Option<&Owner>) -> String {
    owner.map_or(String::new(), |o| format!(" of {} (pid {})", o.comm, o.pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_of_a_shell() {
        assert_eq!(shell(&"wg0.100".into()), "wg0.100");
        assert_eq!(shell(&"$(reboot)".into()), "'$(reboot)'");
        assert_eq!(shell(&"a'b".into()), "'a'\\''b'");
        assert_eq!(shell(&"-f".into()), "'-f'");
    }
}
