//! Whether a network namespace has any TCP socket: three numbers instead of a walk through the table of all.

use std::fs;

/// True if the namespace of the calling thread surely has no TCP socket, not even one that listens or waits. Source:
/// /proc/net/sockstat, /proc/net/sockstat6 (which is missing where there is no IPv6).
pub(super) fn is_empty() -> bool {
    let Ok(v4) = fs::read("/proc/thread-self/net/sockstat") else { return false };
    let v6 = fs::read("/proc/thread-self/net/sockstat6").unwrap_or_default();
    has_none(&v4, &v6)
}

fn has_none(v4: &[u8], v6: &[u8]) -> bool {
    let zero = |text, line: &[u8], name: &[u8]| number(text, line, name) == Some(0);
    let v6_unused = !v6.windows(5).any(|w| w == b"TCP6:") || zero(v6, b"TCP6:", b"inuse");
    zero(v4, b"TCP:", b"inuse") && zero(v4, b"TCP:", b"tw") && v6_unused
}

/// The number after a name in the line that begins so.
fn number(text: &[u8], line: &[u8], name: &[u8]) -> Option<u64> {
    let rest = text.split(|b| *b == b'\n').find_map(|l| l.strip_prefix(line))?;
    let mut words = rest.split(|b| *b == b' ').filter(|word| !word.is_empty());
    words.find(|word| *word == name)?;
    std::str::from_utf8(words.next()?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_zeros_are_nothing() {
        let v4 =
            |inuse, tw| format!("sockets: used 9\nTCP: inuse {inuse} orphan 4 tw {tw} alloc 7 mem 1\nUDP: inuse 3\n");
        let none = |v4: String, v6: &str| has_none(v4.as_bytes(), v6.as_bytes());
        assert!(none(v4(0, 0), "TCP6: inuse 0\nUDP6: inuse 1\n") && none(v4(0, 0), ""));
        assert!(!none(v4(1, 0), "TCP6: inuse 0\n") && !none(v4(0, 1), "TCP6: inuse 0\n"));
        assert!(!none(v4(0, 0), "TCP6: inuse 2\n") && !none(v4(0, 0), "TCP6: in\n") && !none(String::new(), ""));
    }
}
