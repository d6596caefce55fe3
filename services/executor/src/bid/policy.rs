//! The section `[executor.bid]`.

use std::fmt;
use std::str::FromStr;

use jiff::tz::TimeZone;
use ostler_core::time::Span;
use ostler_core::workload::DriverKind;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// What this node takes of others' work, and at what price.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// What it asks for an instance in an auction: the lowest wins.
    pub price: u32,
    /// Driver kinds of which it takes nothing new.
    pub refuse: Vec<DriverKind>,
    /// What it does on battery.
    pub on_battery: OnBattery,
    /// What is added to the price on battery.
    pub battery_price: u32,
    /// When it takes nothing new.
    pub quiet_hours: Vec<Hours>,
    /// Where `quiet_hours` are meant; empty: the host's.
    pub time_zone: Zone,
    /// A command that says whether it takes anything new: exit status 0 says yes, and a line
    /// `price N` at what price; any other no, and its first line why. None: no question.
    pub predicate: Vec<String>,
    /// How often it is asked.
    pub predicate_every: Span,
    /// How long it may take.
    pub predicate_timeout: Span,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            price: 0,
            refuse: Vec::new(),
            on_battery: OnBattery::Accept,
            battery_price: 0,
            quiet_hours: Vec::new(),
            time_zone: Zone::default(),
            predicate: Vec::new(),
            predicate_every: Span::from_secs(10),
            predicate_timeout: Span::from_secs(5),
        }
    }
}

/// Whether new work is taken on battery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBattery {
    /// It is.
    #[default]
    Accept,
    /// It is not.
    Refuse,
}

/// A part of the day such as `22:00-07:00`: from the first minute, up to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hours {
    from: u16,
    to: u16,
}

impl Hours {
    /// Whether this minute of the day is one of them. From and to the same minute is the whole day.
    #[must_use]
    pub const fn contain(self, minute: u16) -> bool {
        if self.from < self.to {
            self.from <= minute && minute < self.to
        } else {
            self.from <= minute || minute < self.to
        }
    }
}

/// A text that is no part of a day.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no part of a day: two times of 24 hours, as in `22:00-07:00`")]
pub struct HoursError(String);

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let two = |text: &str| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u16>().ok()).flatten()
        };
        let minute = |text: &str| {
            let (hour, minute) = text.trim().split_once(':')?;
            let (hour, minute) = (two(hour)?, two(minute)?);
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let read = text
            .split_once('-')
            .and_then(|(from, to)| Some(Self { from: minute(from)?, to: minute(to)? }));
        read.ok_or_else(|| HoursError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)
    }
}

impl Serialize for Hours {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Hours {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The name of a time zone that this host knows, such as `Europe/Berlin`; empty: the host's own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(transparent)]
pub struct Zone(String);

impl Zone {
    /// Its rules; those of the host where there is no name.
    #[must_use]
    pub fn resolve(&self) -> TimeZone {
        if self.0.is_empty() {
            return TimeZone::system();
        }
        TimeZone::get(&self.0).unwrap_or(TimeZone::UTC)
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if !name.is_empty() && TimeZone::get(&name).is_err() {
            let name: String = name.chars().take(40).collect();
            let said = format!("`{name}` is no time zone that this host knows, as `Europe/Berlin`");
            return Err(de::Error::custom(said));
        }
        Ok(Self(name))
    }
}
