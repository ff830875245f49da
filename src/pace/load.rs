//! How a gate was used over time, for the report: a bounded series, whatever the length of the run.
//!
//! - [`Load`]: attempts and throttled answers by time

use serde::Serialize;
use tokio::time::Instant;

/// Points that are kept. A longer run has wider ones.
const MAX_POINTS: usize = 240;

/// Attempts and throttled answers by time, from when the gate was made.
#[derive(Debug, Clone, Serialize)]
pub struct Load {
    #[serde(skip)]
    start: Instant,
    /// What a point lasts.
    pub seconds_per_point: u64,
    /// The most attempts in one second, counted in whole seconds from the start.
    pub busiest_second: u64,
    /// The second that the last attempt was in, and the attempts in it.
    #[serde(skip)]
    second: (u64, u64),
    /// Attempts, by point.
    pub attempts: Vec<u64>,
    /// Answers that were throttled, by point.
    pub throttled: Vec<u64>,
}

impl Load {
    pub(super) const fn new(start: Instant) -> Self {
        Self {
            start,
            seconds_per_point: 1,
            busiest_second: 0,
            second: (0, 0),
            attempts: Vec::new(),
            throttled: Vec::new(),
        }
    }

    pub(super) fn attempted(&mut self, now: Instant) {
        let second = self.second_of(now);
        if second != self.second.0 {
            self.second = (second, 0);
        }
        self.second.1 += 1;
        self.busiest_second = self.busiest_second.max(self.second.1);
        let point = self.point(second);
        self.attempts[point] += 1;
    }

    pub(super) fn throttled(&mut self, now: Instant) {
        let point = self.point(self.second_of(now));
        self.throttled[point] += 1;
    }

    fn second_of(&self, now: Instant) -> u64 {
        now.duration_since(self.start).as_secs()
    }

    /// The point of a second, made where it is missing.
    fn point(&mut self, second: u64) -> usize {
        while second / self.seconds_per_point >= MAX_POINTS as u64 {
            self.seconds_per_point *= 2;
            for series in [&mut self.attempts, &mut self.throttled] {
                *series = series.chunks(2).map(|pair| pair.iter().sum()).collect();
            }
        }
        let point = usize::try_from(second / self.seconds_per_point).unwrap_or(MAX_POINTS - 1);
        for series in [&mut self.attempts, &mut self.throttled] {
            if series.len() <= point {
                series.resize(point + 1, 0);
            }
        }
        point
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_long_run_has_wider_points_and_loses_no_attempt() {
        let start = Instant::now();
        let mut load = Load::new(start);
        for tenth in 0..36_000_u64 {
            load.attempted(start + Duration::from_millis(tenth * 100));
        }
        load.throttled(start + Duration::from_secs(3_599));
        assert_eq!((load.seconds_per_point, load.busiest_second), (16, 10));
        assert_eq!(load.attempts, [160; 225]);
        assert_eq!((load.throttled.len(), load.throttled.iter().sum::<u64>()), (225, 1));
        assert_eq!(load.throttled[224], 1);
    }

    #[test]
    fn seconds_without_an_attempt_are_points_of_their_own() {
        let start = Instant::now();
        let mut load = Load::new(start);
        for seconds in [0.1, 0.9, 3.5] {
            load.attempted(start + Duration::from_secs_f64(seconds));
        }
        assert_eq!((load.attempts, load.busiest_second), (vec![2, 0, 0, 1], 2));
    }
}
