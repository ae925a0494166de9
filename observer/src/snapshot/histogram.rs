//! Log2 histograms, as the kernel side counts them.

use serde::{Deserialize, Serialize};

/// A histogram whose bucket `i` counts the values `v` with `2^(i-1) <= v < 2^i`; bucket 0 counts the zeros.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Log2Histogram {
    /// Counts, the last bucket with all that is larger. Trailing zeros may be left out.
    pub buckets: Vec<u64>,
}

impl Log2Histogram {
    /// Number of values counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Adds another histogram, bucket by bucket.
    pub fn add(&mut self, other: &Self) {
        if self.buckets.len() < other.buckets.len() {
            self.buckets.resize(other.buckets.len(), 0);
        }
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(a, b)| *a += b);
    }

    /// What was counted since `before`. `None` if a bucket shrank: the two are not of one series.
    pub fn since(&self, before: &Self) -> Option<Self> {
        if before.buckets.iter().skip(self.buckets.len()).any(|b| *b > 0) {
            return None;
        }
        let old = before.buckets.iter().copied().chain(std::iter::repeat(0));
        let buckets = self.buckets.iter().zip(old).map(|(new, old)| new.checked_sub(old)).collect::<Option<_>>()?;
        Some(Self { buckets })
    }

    /// The upper bound of bucket `i`, exclusive: `2^i`, and 1 for the zeros.
    pub fn upper_bound(i: usize) -> f64 {
        2f64.powi(i32::try_from(i).unwrap_or(i32::MAX))
    }

    /// Upper bound of the bucket in which the quantile `q` (0 to 1) lies. `None` if nothing was counted.
    pub fn quantile_bound(&self, q: f64) -> Option<f64> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let rank = ((total as f64 * q.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        self.buckets.iter().enumerate().find_map(|(i, n)| {
            seen += n;
            (seen >= rank).then(|| Self::upper_bound(i))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_bucket_bounds() {
        let h = Log2Histogram { buckets: vec![1, 0, 2, 0, 1] };
        assert_eq!(h.quantile_bound(0.25), Some(1.0));
        assert_eq!(h.quantile_bound(0.5), Some(4.0));
        assert_eq!(h.quantile_bound(1.0), Some(16.0));
        assert_eq!(Log2Histogram::default().quantile_bound(0.5), None);
    }

    #[test]
    fn a_series_that_shrank_has_no_difference() {
        let a = Log2Histogram { buckets: vec![1, 2] };
        let b = Log2Histogram { buckets: vec![1, 2, 3] };
        assert_eq!(b.since(&a), Some(Log2Histogram { buckets: vec![0, 0, 3] }));
        assert_eq!(a.since(&b), None);
    }
}
