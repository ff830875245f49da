//! The pace that is set: quotas, and the share of them that a run takes.
//!
//! - [`SetPace`]: both, or one rate for everything
//! - [`Shares`], [`ShareOfHours`]: the share of each quota, which can differ by hour
//! - [`Limiters`]: what each queue waits at, and the limits that queues share

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::clock::Clock;
use crate::pace::{Limiter, Load, SharedLimit};
use crate::record::{ProductCode, Region};
use crate::tables::{Limit, LimitOrigin, Quotas};

/// How often it is looked whether another share holds: a clock can be set meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(20);

/// The pace that is set, in calls per second.
#[derive(Debug, Clone)]
pub enum SetPace {
    /// A share of the quotas.
    Quotas {
        /// The limits of regions and products.
        quotas: Box<Quotas>,
        /// The rest is for live traffic.
        shares: Shares,
    },
    /// One rate for everything; `None` = unlimited.
    Shared(Option<f64>),
}

/// The share of a quota from one hour to another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ShareOfHours {
    /// The first moment.
    pub from: Time,
    /// The first moment after it; before `from` where the hours go past midnight.
    pub to: Time,
    /// From 0 to 1.
    pub share: f64,
}

/// The share of each quota that a run takes.
#[derive(Debug, Clone)]
pub struct Shares {
    /// Whenever no hours say otherwise, from 0 to 1.
    pub otherwise: f64,
    /// The first that fits holds.
    pub hours: Vec<ShareOfHours>,
    /// The zone of the hours.
    pub zone: TimeZone,
}

impl Shares {
    /// The same share at all times.
    pub const fn always(share: f64) -> Self {
        Self {
            otherwise: share,
            hours: Vec::new(),
            zone: TimeZone::UTC,
        }
    }

    /// The share that holds at a time.
    pub fn at(&self, now: Timestamp) -> f64 {
        let time = now.to_zoned(self.zone.clone()).time();
        let holds = |hours: &&ShareOfHours| {
            if hours.from < hours.to {
                (hours.from..hours.to).contains(&time)
            } else {
                time >= hours.from || time < hours.to
            }
        };
        self.hours
            .iter()
            .find(holds)
            .map_or(self.otherwise, |hours| hours.share)
    }
}

impl Shares {
    /// The lowest share of the day.
    pub fn lowest(&self) -> f64 {
        let hours = self.hours.iter().map(|hours| hours.share);
        hours.fold(self.otherwise, f64::min)
    }
}

impl SetPace {
    /// The rate that all products of a region share at a time; `None`: everything shares one, or there is no limit.
    pub fn of_region(&self, region: &str, now: Timestamp) -> Option<f64> {
        match self {
            Self::Quotas { quotas, shares } => Some(quotas.region(region).calls_per_second * shares.at(now)),
            Self::Shared(_) => None,
        }
    }

    /// The rate of a product in a region at a time, were nobody else there; `None`: there is no limit.
    pub fn of_queue(&self, region: &str, product_code: &str, now: Timestamp) -> Option<f64> {
        match self {
            Self::Quotas { quotas, shares } => {
                let region_limit = quotas.region(region).calls_per_second;
                let limit = region_limit.min(limit_of(quotas, region, product_code).calls_per_second);
                Some(limit * shares.at(now))
            }
            Self::Shared(rate) => *rate,
        }
    }
}

/// The limit of a product in a region: its own, or the one that it has everywhere.
fn limit_of(quotas: &Quotas, region: &str, product_code: &str) -> Limit {
    quotas
        .product_in_region(region, product_code)
        .unwrap_or_else(|| quotas.product(product_code))
}

/// What the queues of a run wait at.
#[derive(Debug)]
pub struct Limiters {
    pace: SetPace,
    share: std::sync::Mutex<f64>,
    clock: Arc<dyn Clock>,
    /// The one limit of everything, where one rate is set.
    all: Arc<SharedLimit>,
    regions: BTreeMap<Region, Arc<SharedLimit>>,
    products: BTreeMap<ProductCode, Arc<SharedLimit>>,
    queues: Vec<(Region, ProductCode, Arc<Limiter>)>,
}

/// How a limit that several queues share was used.
#[derive(Debug, Clone)]
pub struct LimitUse {
    /// The region; `None`: the one rate of everything.
    pub region: Option<Region>,
    /// The set rate now; `None`: no limit.
    pub calls_per_second: Option<f64>,
    /// The vendor's limit, and who says so.
    pub limit: Option<Limit>,
    /// Attempts over time.
    pub load: Load,
}

impl Limiters {
    /// For a pace; `clock` is the machine's, as live traffic goes by that.
    pub fn new(pace: SetPace, clock: Arc<dyn Clock>) -> Self {
        let one_rate = match &pace {
            SetPace::Shared(rate) => *rate,
            SetPace::Quotas { .. } => None,
        };
        let share = share_at(&pace, clock.now());
        Self {
            pace,
            share: std::sync::Mutex::new(share),
            clock,
            all: Arc::new(SharedLimit::new(one_rate)),
            regions: BTreeMap::new(),
            products: BTreeMap::new(),
            queues: Vec::new(),
        }
    }

    /// What the queue of a product in a region waits at.
    pub fn limiter(&mut self, region: &Region, product_code: &ProductCode) -> Arc<Limiter> {
        let now = self.clock.now();
        let rate = self.pace.of_queue(region.as_str(), product_code.as_str(), now);
        let SetPace::Quotas { quotas, shares } = &self.pace else {
            return Arc::new(Limiter::new(rate, vec![self.all.clone()]));
        };
        let share = shares.at(now);
        let of_region = self.regions.entry(region.clone()).or_insert_with(|| {
            let limit = quotas.region(region.as_str());
            if limit.origin == LimitOrigin::LowestKnown {
                tracing::warn!(
                    %region,
                    "no limit of this region is known: the lowest known one is taken, {} calls a second; \
                     set it under [quotas.regions]",
                    limit.calls_per_second
                );
            }
            Arc::new(SharedLimit::new(Some(limit.calls_per_second * share)))
        });
        let mut shared = vec![of_region.clone()];
        if quotas
            .product_in_region(region.as_str(), product_code.as_str())
            .is_none()
        {
            let of_product = self.products.entry(product_code.clone()).or_insert_with(|| {
                let limit = quotas.product(product_code.as_str());
                Arc::new(SharedLimit::new(Some(limit.calls_per_second * share)))
            });
            shared.push(of_product.clone());
        }
        let limiter = Arc::new(Limiter::new(rate, shared));
        self.queues
            .push((region.clone(), product_code.clone(), limiter.clone()));
        limiter
    }

    /// Sets the rates of the share that holds now, whenever that changes. It never returns.
    pub async fn follow_the_hours(&self) -> Infallible {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            self.set_share();
        }
    }

    fn set_share(&self) {
        let SetPace::Quotas { quotas, shares } = &self.pace else {
            return;
        };
        let now = self.clock.now();
        let share = shares.at(now);
        let mut before = self.share.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if before.to_bits() == share.to_bits() {
            return;
        }
        tracing::info!("the share of the quotas is {share} from now on; it was {before}");
        *before = share;
        for (region, limit) in &self.regions {
            limit.set_rate(quotas.region(region.as_str()).calls_per_second * share);
        }
        for (product_code, limit) in &self.products {
            limit.set_rate(quotas.product(product_code.as_str()).calls_per_second * share);
        }
        for (region, product_code, limiter) in &self.queues {
            let rate = self.pace.of_queue(region.as_str(), product_code.as_str(), now);
            limiter.set_rate(rate.unwrap_or_default());
        }
    }

    /// How the limits were used: one a region, or the one of everything.
    pub fn used(&self) -> Vec<LimitUse> {
        match &self.pace {
            SetPace::Shared(rate) => vec![LimitUse {
                region: None,
                calls_per_second: *rate,
                limit: None,
                load: self.all.load(),
            }],
            SetPace::Quotas { quotas, .. } => {
                let now = self.clock.now();
                let of_region = |(region, limit): (&Region, &Arc<SharedLimit>)| LimitUse {
                    region: Some(region.clone()),
                    calls_per_second: self.pace.of_region(region.as_str(), now),
                    limit: Some(quotas.region(region.as_str())),
                    load: limit.load(),
                };
                self.regions.iter().map(of_region).collect()
            }
        }
    }
}

fn share_at(pace: &SetPace, now: Timestamp) -> f64 {
    match pace {
        SetPace::Quotas { shares, .. } => shares.at(now),
        SetPace::Shared(_) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::pace::Urgency;

    fn shares() -> Shares {
        let hours = |from, to, share| ShareOfHours {
            from: Time::constant(from, 0, 0, 0),
            to: Time::constant(to, 0, 0, 0),
            share,
        };
        Shares {
            otherwise: 0.5,
            hours: vec![hours(0, 6, 0.9), hours(22, 1, 0.7)],
            zone: TimeZone::fixed(jiff::tz::offset(8)),
        }
    }

    #[test]
    fn the_share_is_that_of_the_hour_in_the_named_zone() {
        for (at, share) in [
            ("2026-11-21T15:59:59Z", 0.7),
            ("2026-11-21T16:00:00Z", 0.9),
            ("2026-11-21T21:59:59Z", 0.9),
            ("2026-11-21T22:00:00Z", 0.5),
            ("2026-11-22T13:59:59Z", 0.5),
            ("2026-11-22T14:00:00Z", 0.7),
        ] {
            assert!((shares().at(at.parse().unwrap()) - share).abs() < 1e-9, "{at}");
        }
    }

    #[derive(Debug)]
    struct Hands(Mutex<Timestamp>);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    /// At 05:59:58 nine tenths of 10 a second, and from 06:00 on half of it.
    #[tokio::test(start_paused = true)]
    async fn a_run_takes_another_share_when_its_hour_comes() {
        let clock = Arc::new(Hands(Mutex::new("2026-11-21T21:59:58Z".parse().unwrap())));
        let pace = SetPace::Quotas {
            quotas: Box::new(Quotas::built_in()),
            shares: shares(),
        };
        let mut limiters = Limiters::new(pace, clock.clone());
        let region = Region::parse("ap-southeast-1").unwrap();
        let limiter = limiters.limiter(&region, &ProductCode::parse("FACE_LIVENESS").unwrap());
        let limiters = Arc::new(limiters);
        let following = limiters.clone();
        let following = tokio::spawn(async move { following.follow_the_hours().await });
        let calls = async |seconds| {
            let until = tokio::time::Instant::now() + Duration::from_secs(seconds);
            let mut calls = 0;
            while tokio::time::Instant::now() < until {
                let (admitted, unsent) = limiter.admit(Urgency(0)).await;
                drop(unsent);
                limiter.answered(admitted);
                calls += 1;
            }
            calls
        };
        let before = calls(20).await;
        *clock.0.lock().unwrap() = "2026-11-21T22:00:18Z".parse().unwrap();
        tokio::time::sleep(LOOK_EVERY).await;
        let after = calls(20).await;
        assert!((179..=181).contains(&before), "{before}");
        assert!((99..=101).contains(&after), "{after}");
        let rate = limiters.used()[0].calls_per_second;
        assert!((rate.unwrap() - 5.0).abs() < 1e-9, "{rate:?}");
        following.abort();
    }
}
