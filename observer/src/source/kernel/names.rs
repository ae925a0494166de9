//! Words for the kernel's enumerations, from the running kernel's BTF: their values differ between kernels.

use super::{btf::Btf, gfp::GfpNames};
use crate::snapshot::Name;

/// The words of one enumeration.
#[derive(Debug, Clone, Default)]
pub(super) struct Words(Vec<(u32, Name)>);

impl Words {
    /// The enumerators of `container` that begin with `prefix`, without it and in small letters. Where two have one value
    /// the later is taken: `MIGRATE_HIGHATOMIC`, not `MIGRATE_PCPTYPES`, which counts those before it.
    fn of(btf: &Btf, container: &str, prefix: &str) -> Self {
        let word = |name: &str| Some(Name::from(name.strip_prefix(prefix)?.to_ascii_lowercase()));
        let all = btf.enumerators(container).into_iter().rev();
        Self(all.filter_map(|(name, value)| Some((value, word(name)?))).collect())
    }

    /// The word for a value; the number itself where the kernel has no word for it.
    pub(super) fn get(&self, value: u32) -> Name {
        let known = self.0.iter().find(|(v, _)| *v == value).map(|(_, word)| word.clone());
        known.unwrap_or_else(|| Name::from(value.to_string()))
    }
}

/// The enumerations that the readers need.
#[derive(Debug, Clone, Default)]
pub(super) struct Enums {
    /// `enum compact_result`.
    pub(super) compact_result: Words,
    /// `enum migratetype`.
    pub(super) migrate_type: Words,
    /// `enum vmscan_throttle_state`.
    pub(super) throttle: Words,
    /// `enum skb_drop_reason`.
    pub(super) drop_reason: Words,
    /// gfp flags.
    pub(super) gfp: GfpNames,
}

impl Enums {
    /// Takes them out of the running kernel's BTF.
    pub(super) fn of(btf: &Btf) -> Self {
        Self {
            compact_result: Words::of(btf, "compact_result", "COMPACT_"),
            migrate_type: Words::of(btf, "migratetype", "MIGRATE_"),
            throttle: Words::of(btf, "vmscan_throttle_state", "VMSCAN_THROTTLE_"),
            drop_reason: Words::of(btf, "skb_drop_reason", "SKB_DROP_REASON_"),
            gfp: GfpNames::of_kernel(btf),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_kernel_has_words_and_what_it_lacks_is_a_number() {
        let Ok(btf) = Btf::read("/sys/kernel/btf/vmlinux".as_ref()) else {
            println!("SKIPPED the_running_kernel_has_words_and_what_it_lacks_is_a_number: this kernel has no BTF");
            return;
        };
        let enums = Enums::of(&btf);
        let number = |name| btf.enumerator("migratetype", name).unwrap();
        assert_eq!(enums.migrate_type.get(number("MIGRATE_HIGHATOMIC")).as_str(), "highatomic");
        assert_eq!(enums.migrate_type.get(number("MIGRATE_MOVABLE")).as_str(), "movable");
        let success = btf.enumerator("compact_result", "COMPACT_SUCCESS").unwrap();
        assert_eq!(enums.compact_result.get(success).as_str(), "success");
        assert_eq!(enums.throttle.get(4000).as_str(), "4000");
        assert_eq!(Words::default().get(3).as_str(), "3");
    }
}
