//! The eBPF object inside this binary. It is built by `cargo xtask build-ebpf` and checked by the build script.

/// The embedded object file, aligned as its headers need it. [`crate::elf::summarize`] says what it holds.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/observer-ebpf.o"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_object_can_be_loaded_by_its_looks() {
        assert_eq!(OBJECT.as_ptr() as usize % 8, 0);
        let summary = crate::elf::summarize(OBJECT).unwrap();
        assert_eq!(summary.problems(), Vec::<String>::new());
        assert_eq!(summary.license.as_deref(), Some("Dual MIT/GPL"));
        assert_eq!(summary.size, OBJECT.len() as u64);
        let has = |section: &str| summary.programs.iter().any(|program| program.section == section);
        assert!(has("tp_btf/mm_page_alloc"), "{:?}", summary.programs);
        assert!(!summary.maps.is_empty());
    }
}
