//! The live screen.
//!
//! Time and keys come in through [`app`], which owns all that changes: the `timeline` of models and the `screen` of
//! choices. Drawing takes both by reference and gives back only where things came to stand.

pub mod app;
mod cells;
mod context;
mod draw;
mod explained;
pub mod feed;
mod filter;
mod header;
pub mod keymap;
mod keys;
mod laid;
pub mod log;
mod numbers;
mod overlay;
pub mod panes;
mod screen;
mod signals;
mod stack;
mod strip;
mod table;
mod tabs;
pub mod term;
#[cfg(test)]
mod tests;
mod text;
pub mod theme;
mod timeline;
mod trend;
mod vitals;
