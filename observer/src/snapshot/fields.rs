//! Structs whose fields are lines of a kernel file.

/// Declares a struct of `Option<u64>` fields, each filled from one named line of a kernel file.
///
/// `from_lookup` asks for every kernel name in turn and multiplies by the unit's factor; a line that the kernel does not
/// have stays `None`. Adding a field is adding one row. A row is `/// doc, "KernelName" => field (factor)`; the factor is
/// `one` for counts or `page` where the kernel counts pages and the field holds bytes.
macro_rules! kernel_fields {
    (@factor one $page:ident) => { 1 };
    (@factor page $page:ident) => { $page };
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$doc:meta])* $kernel:literal => $field:ident ($unit:ident),)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $name {
            $($(#[$doc])* #[serde(skip_serializing_if = "Option::is_none")] pub $field: Option<u64>,)*
        }

        impl $name {
            /// The names that the kernel uses, in the order of the fields.
            pub const KERNEL_NAMES: &'static [&'static str] = &[$($kernel),*];

            /// Fills the struct from a file that `lookup` reads by name; `page_size` turns pages into bytes.
            pub fn from_lookup(page_size: u64, lookup: impl Fn(&str) -> Option<u64>) -> Self {
                let _ = page_size;
                Self { $($field: lookup($kernel).map(|v| v.saturating_mul(kernel_fields!(@factor $unit page_size))),)* }
            }

            /// Kernel name and value of every field.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, Option<u64>)> {
                [$(($kernel, self.$field)),*].into_iter()
            }
        }
    };
}

pub(crate) use kernel_fields;
