//! Kernel modules for a guest: those that are wanted and those they depend on, unpacked.

use crate::exec;
use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What tests need, by subject. What a kernel has built in, or not at all, is passed over. Most load by themselves when
/// first used; `modprobe` loads the others.
const WANTED: &[&[&str]] = &[
    // links and tunnels
    &["veth", "dummy", "bridge", "ifb", "tun", "macvlan", "vxlan", "geneve", "wireguard"],
    &["ipip", "sit", "ip_gre", "ip6_gre", "ip6_tunnel", "ip_vti", "ip6_vti", "xfrm_interface"],
    &["bareudp", "fou", "fou6"],
    // IPsec and its ciphers
    &["esp4", "esp6", "xfrm_user", "authenc", "echainiv", "seqiv", "gcm", "ctr", "cbc", "hmac"],
    &["sha1_generic", "sha256_generic", "ghash-generic", "aesni_intel", "drbg", "chacha20poly1305"],
    // queues, delay and loss
    &["sch_netem", "sch_tbf", "sch_htb", "sch_fq", "sch_fq_codel", "sch_prio", "sch_ingress"],
    &["cls_bpf", "cls_u32", "cls_matchall", "act_mirred", "act_gact", "act_bpf"],
    // TCP and socket diagnosis
    &["tcp_bbr", "inet_diag", "tcp_diag", "udp_diag"],
    // dropping and rewriting packets
    &[
        "nf_tables",
        "nft_ct",
        "nft_nat",
        "nft_masq",
        "nft_chain_nat",
        "nft_limit",
        "nft_compat",
        "ip_tables",
        "iptable_filter",
    ],
    &["xt_statistic", "xt_tcpudp"],
    // memory and file systems
    &["zram", "lzo-rle", "lz4", "zstd", "loop", "virtio_pci", "virtio_blk", "overlay", "ext4"],
];

/// Reads the wanted modules below `folder` and those they need. By name of the module, with `_` for `-`.
pub(super) fn read(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = HashMap::new();
    find(folder, &mut files)?;
    let mut found = BTreeMap::new();
    let mut wanted: Vec<String> = WANTED.iter().flat_map(|group| group.iter()).map(|name| plain(name)).collect();
    while let Some(name) = wanted.pop() {
        if found.contains_key(&name) {
            continue;
        }
        let Some(file) = files.get(&name) else { continue };
        let bytes = unpack(file)?;
        wanted.extend(dependencies(&bytes).with_context(|| format!("cannot read {}", file.display()))?);
        found.insert(name, bytes);
    }
    Ok(found)
}

/// Collects the files of all modules below a folder, by name.
fn find(folder: &Path, files: &mut HashMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !path.is_symlink() {
            find(&path, files)?;
        } else if let Some((name, _)) = file_name.split_once(".ko") {
            files.insert(plain(name), path);
        }
    }
    Ok(())
}

/// The kernel takes `-` and `_` in a name for the same.
fn plain(name: &str) -> String {
    name.replace('-', "_")
}

fn unpack(file: &Path) -> Result<Vec<u8>> {
    let program = match file.extension().unwrap_or_default().to_string_lossy().as_ref() {
        "ko" => return fs::read(file).with_context(|| format!("cannot read {}", file.display())),
        "xz" => "xz",
        "zst" => "zstd",
        other => bail!("{}: unknown compression {other}", file.display()),
    };
    let output = exec::output(Command::new(program).arg("-dc").arg(file))?;
    if !output.status.success() {
        bail!("{program} cannot unpack {}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(output.stdout)
}

/// Names of the modules that one needs, from its section `.modinfo`.
fn dependencies(module: &[u8]) -> Result<Vec<String>> {
    let file: object::read::elf::ElfFile64<'_> = object::read::elf::ElfFile64::parse(module)?;
    let info = file.section_by_name(".modinfo").context("no section .modinfo")?.data()?;
    Ok(info
        .split(|byte| *byte == 0)
        .find_map(|field| field.strip_prefix(b"depends="))
        .map(parse_depends)
        .unwrap_or_default())
}

fn parse_depends(list: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(list).split(',').filter(|name| !name.is_empty()).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_a_list_that_may_be_empty() {
        assert_eq!(parse_depends(b""), Vec::<String>::new());
        assert_eq!(parse_depends(b"udp_tunnel,ip6-udp-tunnel"), ["udp_tunnel", "ip6_udp_tunnel"]);
    }
}
