//! Names of gfp flags on the running kernel: their bits differ between kernels, and so none is known beforehand.
//! Source: enumerators `___gfp_*_BIT` in BTF (from 6.10 on), else the print format of `kmem:mm_page_alloc` in tracefs.

use std::fs;

use super::btf::Btf;
use crate::snapshot::{Name, page_alloc::GfpFlag};

/// Where tracefs is mounted.
const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// The format whose print format names the flags.
const FORMAT: &str = "events/kmem/mm_page_alloc/format";

/// The names.
#[derive(Debug, Clone, Default)]
pub(super) struct GfpNames {
    flags: Vec<GfpFlag>,
    missing: Option<Name>,
}

impl GfpNames {
    /// Takes them out of the running kernel's BTF, or where it has none out of tracefs.
    pub(super) fn of_kernel(btf: &Btf) -> Self {
        let flags = from_btf(btf);
        if !flags.is_empty() {
            return Self { flags, missing: None };
        }
        let text = TRACEFS.iter().find_map(|root| fs::read_to_string(format!("{root}/{FORMAT}")).ok());
        let flags = text.as_deref().map(from_print_format).unwrap_or_default();
        let why = match text {
            None => format!(
                "the kernel's BTF does not name them, and {}/{FORMAT} cannot be read; to mend it: mount -t tracefs nodev {0}",
                TRACEFS[0]
            ),
            Some(_) => "neither the kernel's BTF nor the format of kmem:mm_page_alloc names them".to_owned(),
        };
        Self { missing: flags.is_empty().then(|| Name::from(why)), flags }
    }

    /// Names of the flags that are set.
    pub(super) fn of(&self, gfp: u32) -> Vec<GfpFlag> {
        self.flags.iter().filter(|flag| gfp & flag.bit != 0).cloned().collect()
    }

    /// Why there are none.
    pub(super) fn missing(&self) -> Option<&Name> {
        self.missing.as_ref()
    }
}

/// `___GFP_NOWARN_BIT = 13` of an enumeration without a name.
fn from_btf(btf: &Btf) -> Vec<GfpFlag> {
    let flag = |(name, shift): (&str, u32)| {
        let name = name.strip_prefix('_')?.strip_suffix("_BIT")?;
        let bit = 1u32.checked_shl(shift)?;
        (!matches!(name, "__GFP_LAST" | "__GFP_UNUSED")).then(|| GfpFlag { bit, name: Name::from(name) })
    };
    btf.enumerators_beginning("___GFP_").into_iter().filter_map(flag).collect()
}

/// `{( unsigned long)(( gfp_t)((((1UL))) << (13))), "__GFP_NOWARN"}`, before 6.10 `{( unsigned long)(( gfp_t)0x2000u),
/// "__GFP_NOWARN"}`. What stands for several flags at once is left out.
fn from_print_format(text: &str) -> Vec<GfpFlag> {
    let entry = |entry: &str| {
        let (value, name) = entry.rsplit_once(", \"")?;
        let name = name.split('"').next().filter(|name| name.starts_with("__GFP_"))?;
        let bit = value_of(value).filter(|bit| bit.is_power_of_two())?;
        Some(GfpFlag { bit, name: Name::from(name) })
    };
    text.split('{').skip(1).filter_map(|rest| entry(rest.split('}').next()?)).collect()
}

/// A number, or one that is shifted, among brackets and casts.
fn value_of(expression: &str) -> Option<u32> {
    let bare: String = expression.replace("unsigned long", "").replace("gfp_t", "");
    let bare: String = bare.chars().filter(|c| !matches!(c, '(' | ')' | ' ')).collect();
    let number = |text: &str| {
        let digits = text.trim_end_matches(['u', 'U', 'l', 'L']);
        match digits.strip_prefix("0x") {
            Some(hex) => u32::from_str_radix(hex, 16).ok(),
            None => digits.parse().ok(),
        }
    };
    match bare.split_once("<<") {
        Some((base, shift)) => number(base)?.checked_shl(number(shift)?),
        None => number(&bare),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bit(flags: &[GfpFlag], name: &str) -> Option<u32> {
        flags.iter().find(|f| f.name.as_str() == name).map(|f| f.bit)
    }

    #[test]
    fn both_forms_of_the_print_format_are_read_and_sums_are_not() {
        let text = r#"print fmt: "page=%p gfp_flags=%s", REC->pfn, (REC->gfp_flags) ? __print_flags(REC->gfp_flags, "|", {( unsigned long)(( gfp_t)(((((1UL))) << (10))|((((1UL))) << (11)))), "__GFP_RECLAIM"}, {( unsigned long)((( gfp_t)((((1UL))) << (5)))|(( gfp_t)((((1UL))) << (11)))), "GFP_ATOMIC"}, {( unsigned long)(( gfp_t)((((1UL))) << (13))), "__GFP_NOWARN"}, {(unsigned long)((gfp_t)0x10000u), "__GFP_NORETRY"}, {( unsigned long)(( gfp_t)(0x400u|0x800u)), "__GFP_RECLAIM"}, {( unsigned long)0, "__GFP_ZEROTAGS"} ) : "none""#;
        let flags = from_print_format(text);
        assert_eq!(flags.len(), 2, "{flags:?}");
        assert_eq!((bit(&flags, "__GFP_NOWARN"), bit(&flags, "__GFP_NORETRY")), (Some(1 << 13), Some(1 << 16)));
    }

    #[test]
    fn btf_and_tracefs_of_the_running_kernel_agree() {
        let Ok(btf) = Btf::read("/sys/kernel/btf/vmlinux".as_ref()) else {
            println!("SKIPPED btf_and_tracefs_of_the_running_kernel_agree: this kernel has no BTF");
            return;
        };
        let (named, text) = (from_btf(&btf), fs::read_to_string(format!("{}/{FORMAT}", TRACEFS[0])));
        let (Some(nowarn), Ok(text)) = (bit(&named, "__GFP_NOWARN"), text) else {
            println!("SKIPPED btf_and_tracefs_of_the_running_kernel_agree: one of the two is not here");
            return;
        };
        assert!(nowarn.is_power_of_two() && named.len() > 15, "{named:?}");
        for flag in from_print_format(&text) {
            assert_eq!(bit(&named, flag.name.as_str()), Some(flag.bit), "{flag:?}");
        }
    }
}
