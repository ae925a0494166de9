//! Network namespaces that are mounted on a file: what `ip netns add` and container runtimes do to name them.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt as _, OsStringExt},
    path::{Path, PathBuf},
};

use crate::{
    snapshot::Name,
    source::lines::{number, unescape},
};

/// A mounted network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Its inode.
    pub(super) inode: u64,
    /// Where it is mounted, as the process sees it whose mounts these are.
    pub(super) point: PathBuf,
}

impl Mount {
    /// The last part of the path.
    pub(super) fn name(&self) -> Option<Name> {
        Some(Name::from_bytes(self.point.file_name()?.as_encoded_bytes()))
    }
}

/// Network namespaces in the text of a /proc/PID/mountinfo. Such a line, the fourth field naming the namespace, the fifth the
/// place: `97 26 0:4 net:[4026532281] /run/netns/blue rw shared:52 - nsfs nsfs rw`.
pub(super) fn namespaces(text: &[u8]) -> impl Iterator<Item = Mount> {
    text.split(|b| *b == b'\n').filter_map(|line| {
        let mut fields = line.split(|b| *b == b' ').skip(3);
        let inode = named(fields.next()?)?;
        Some(Mount { inode, point: PathBuf::from(OsString::from_vec(unescape(fields.next()?))) })
    })
}

/// The namespace that a link such as /proc/PID/ns/net leads to.
pub(super) fn link(target: &Path) -> Option<u64> {
    named(target.as_os_str().as_bytes())
}

fn named(text: &[u8]) -> Option<u64> {
    number(text.strip_prefix(b"net:[")?.strip_suffix(b"]")?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn network_namespaces_alone_are_taken_and_their_paths_are_whole() {
        let text = b"22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n\
            97 26 0:4 net:[4026532281] /run/netns/blue rw shared:52 - nsfs nsfs rw\n\
            98 26 0:4 mnt:[4026532282] /run/ns/mnt rw - nsfs nsfs rw\n\
            99 26 0:4 net:[7] /a\\040b\\134\\xff rw - nsfs nsfs rw\n";
        let found: Vec<_> = namespaces(text).collect();
        let expected = [(4_026_532_281, "/run/netns/blue"), (7, "/a b\\\\xff")];
        assert_eq!(found.iter().map(|m| (m.inode, m.point.to_str().unwrap())).collect::<Vec<_>>(), expected);
        assert_eq!(found.first().and_then(Mount::name).unwrap().as_str(), "blue");
    }

    proptest! {
        #[test]
        fn any_path_is_found_again(path in proptest::collection::vec(1u8.., 1..30)) {
            let mangled: Vec<u8> = path.iter().flat_map(|b| match b {
                b' ' | b'\t' | b'\n' | b'\\' => format!("\\{b:03o}").into_bytes(),
                b => vec![*b],
            }).collect();
            let line = [b"97 26 0:4 net:[5] ".as_slice(), &mangled, b" rw - nsfs nsfs rw\n"].concat();
            let found: Vec<_> = namespaces(&line).map(|m| m.point.as_os_str().as_bytes().to_vec()).collect();
            prop_assert_eq!(found, [path]);
        }

        #[test]
        fn any_bytes_end_in_mounts_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = namespaces(&[b"1 2 3 net:[4] ".as_slice(), &bytes].concat()).count();
        }
    }
}
