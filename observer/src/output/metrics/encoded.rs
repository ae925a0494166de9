//! The answers to a scrape of one page, each made once.

use std::{
    fmt,
    io::{self, Write},
    sync::{Arc, OnceLock},
};

use axum::body::Bytes;
use flate2::{Compression, write::GzEncoder};

use super::{family::Family, openmetrics, text_0_0_4};

/// Format of an answer to a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// `Content-Type` of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Why families could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// An encoder refused a family.
    #[error("the metrics could not be written as text")]
    Text(#[from] fmt::Error),
    /// The compression failed.
    #[error("the metrics could not be compressed")]
    Gzip(#[from] io::Error),
}

/// The answers made so far; scrapes that share a page share them.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    text: OnceLock<Bytes>,
    open_metrics: OnceLock<Bytes>,
    text_gzip: OnceLock<Bytes>,
    open_metrics_gzip: OnceLock<Bytes>,
}

impl Encoded {
    /// The whole body of an answer.
    pub(super) fn body(&self, families: &Arc<Vec<Family>>, format: Format, gzip: bool) -> Result<Bytes, EncodeError> {
        let cell = match (format, gzip) {
            (Format::Text, false) => &self.text,
            (Format::OpenMetrics, false) => &self.open_metrics,
            (Format::Text, true) => &self.text_gzip,
            (Format::OpenMetrics, true) => &self.open_metrics_gzip,
        };
        if let Some(body) = cell.get() {
            return Ok(body.clone());
        }
        let body = if gzip {
            let mut writer = GzEncoder::new(Vec::new(), Compression::fast());
            writer.write_all(&self.body(families, format, false)?)?;
            writer.finish()?
        } else {
            match format {
                Format::Text => text_0_0_4::encode(families)?,
                Format::OpenMetrics => openmetrics::encode(families)?,
            }
            .into_bytes()
        };
        Ok(cell.get_or_init(|| body.into()).clone())
    }
}
