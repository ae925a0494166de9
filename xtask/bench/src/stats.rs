//! From rounds to figures.

/// Rounds whose surroundings differ by more than this share are thrown away.
pub(crate) const DRIFT: f64 = 0.05;

/// One round of a variant between two with nothing attached; nanoseconds a page.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) before: f64,
    pub(crate) with: f64,
    pub(crate) after: f64,
}

impl Sample {
    /// What the variant added, in nanoseconds.
    fn added(self) -> f64 {
        self.with - self.baseline()
    }

    /// The cost of the work itself.
    fn baseline(self) -> f64 {
        f64::midpoint(self.before, self.after)
    }

    fn drifted(self) -> bool {
        (self.before - self.after).abs() > DRIFT * self.before.min(self.after)
    }
}

/// Middle half of some figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Quartiles {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

/// What the rounds of one variant came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Cost {
    /// Added nanoseconds a page.
    pub(crate) added: Quartiles,
    /// Nanoseconds a page with nothing attached.
    pub(crate) baseline: Quartiles,
    /// Rounds that count.
    pub(crate) rounds: usize,
    /// Rounds thrown away for drift.
    pub(crate) drifted: usize,
}

/// How many rounds count.
pub(crate) fn steady(samples: &[Sample]) -> usize {
    samples.iter().filter(|sample| !sample.drifted()).count()
}

/// Figures of one variant; None if every round drifted.
pub(crate) fn cost(samples: &[Sample]) -> Option<Cost> {
    let kept: Vec<Sample> = samples.iter().copied().filter(|sample| !sample.drifted()).collect();
    Some(Cost {
        added: quartiles(kept.iter().map(|sample| sample.added()).collect())?,
        baseline: quartiles(kept.iter().map(|sample| sample.baseline()).collect())?,
        rounds: kept.len(),
        drifted: samples.len() - kept.len(),
    })
}

/// Quartiles, between neighbours by their distance; None of no figures.
fn quartiles(mut figures: Vec<f64>) -> Option<Quartiles> {
    figures.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let place = share * (figures.len().checked_sub(1)?) as f64;
        let (below, above) = (figures.get(place.floor() as usize)?, figures.get(place.ceil() as usize)?);
        Some(below + (above - below) * place.fract())
    };
    Some(Quartiles { low: at(0.25)?, median: at(0.5)?, high: at(0.75)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_lie_between_neighbours() {
        let all = quartiles(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!(all, Some(Quartiles { low: 1.75, median: 2.5, high: 3.25 }));
        assert_eq!(quartiles(vec![7.0]), Some(Quartiles { low: 7.0, median: 7.0, high: 7.0 }));
        assert_eq!(quartiles(Vec::new()), None);
    }

    #[test]
    fn a_round_between_unequal_neighbours_does_not_count() {
        let steady = Sample { before: 100.0, with: 112.0, after: 102.0 };
        let drifted = Sample { before: 100.0, with: 300.0, after: 106.0 };
        let cost_of = cost(&[steady, drifted, steady]).unwrap();
        assert_eq!((cost_of.added.median, cost_of.rounds, cost_of.drifted), (11.0, 2, 1));
        assert_eq!(cost(&[drifted]), None);
    }
}
