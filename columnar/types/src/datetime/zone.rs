//! Time zones: between UTC and local time.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::{US_PER_DAY, US_PER_SECOND, civil_from_days, split_timestamp};

/// The calendar repeats after 400 years: whole weeks, the same leap years.
const CYCLE_US: i64 = 146_097 * US_PER_DAY;
/// 9000-01-01 UTC: well within what the time zone library covers.
const FAR_FUTURE_US: i64 = 221_845_392_000 * US_PER_SECOND;
/// -9000-01-01 UTC.
const FAR_PAST_US: i64 = -346_176_288_000 * US_PER_SECOND;

/// A timestamp of the same rules within the range that the time zone library covers.
fn within_range(us: i64) -> i64 {
    if us > FAR_FUTURE_US {
        us - ((us - FAR_FUTURE_US) / CYCLE_US + 1) * CYCLE_US
    } else if us < FAR_PAST_US {
        us + ((FAR_PAST_US - us) / CYCLE_US + 1) * CYCLE_US
    } else {
        us
    }
}

/// The zone's offset from UTC (seconds, east positive) at a moment.
pub fn offset_at(zone: &TimeZone, utc_us: i64) -> i32 {
    if let Ok(fixed) = zone.to_fixed_offset() {
        return fixed.seconds();
    }
    Timestamp::from_microsecond(within_range(utc_us)).map_or(0, |t| zone.to_offset(t).seconds())
}

/// Offset and abbreviation (`CEST`) that the zone has at a moment.
pub fn offset_and_abbreviation(zone: &TimeZone, utc_us: i64) -> (i32, String) {
    match Timestamp::from_microsecond(within_range(utc_us)) {
        Ok(t) => {
            let info = zone.to_offset_info(t);
            (info.offset().seconds(), info.abbreviation().to_string())
        }
        Err(_) => (0, "UTC".into()),
    }
}

/// The offset that a local time has: of an hour that comes twice the later one, of a skipped hour the one before.
pub fn offset_of_local(zone: &TimeZone, local_us: i64) -> i32 {
    if let Ok(fixed) = zone.to_fixed_offset() {
        return fixed.seconds();
    }
    let (days, us) = split_timestamp(within_range(local_us));
    let (year, month, day) = civil_from_days(days);
    let seconds = us / US_PER_SECOND;
    let local = DateTime::new(
        year as i16,
        month as i8,
        day as i8,
        (seconds / 3600) as i8,
        (seconds / 60 % 60) as i8,
        (seconds % 60) as i8,
        (us % US_PER_SECOND * 1000) as i32,
    );
    match local.map(|l| zone.to_ambiguous_timestamp(l).offset()) {
        Ok(AmbiguousOffset::Unambiguous { offset }) => offset.seconds(),
        Ok(AmbiguousOffset::Gap { before, .. }) => before.seconds(),
        Ok(AmbiguousOffset::Fold { after, .. }) => after.seconds(),
        Err(_) => 0,
    }
}

/// The local time of a moment (both microseconds since 1970-01-01); infinities stay.
pub fn utc_to_local(zone: &TimeZone, utc_us: i64) -> i64 {
    if super::is_infinite(utc_us) {
        return utc_us;
    }
    utc_us.saturating_add(i64::from(offset_at(zone, utc_us)) * US_PER_SECOND)
}

/// The moment of a local time; infinities stay.
pub fn local_to_utc(zone: &TimeZone, local_us: i64) -> i64 {
    if super::is_infinite(local_us) {
        return local_us;
    }
    local_us.saturating_sub(i64::from(offset_of_local(zone, local_us)) * US_PER_SECOND)
}

/// Abbreviations that mean an offset of their own, in minutes east of UTC; sorted.
const ABBREVIATIONS: &[(&str, i32)] = &[
    ("acdt", 630),
    ("acst", 570),
    ("adt", -180),
    ("aedt", 660),
    ("aest", 600),
    ("akdt", -480),
    ("akst", -540),
    ("ast", -240),
    ("awst", 480),
    ("bdst", 120),
    ("bdt", 360),
    ("bot", -240),
    ("brst", -120),
    ("brt", -180),
    ("bst", 60),
    ("cdt", -300),
    ("cest", 120),
    ("cet", 60),
    ("cot", -300),
    ("cst", -360),
    ("eat", 180),
    ("edt", -240),
    ("eest", 180),
    ("eet", 120),
    ("est", -300),
    ("fjt", 720),
    ("gft", -180),
    ("gmt", 0),
    ("hkt", 480),
    ("hst", -600),
    ("ict", 420),
    ("idt", 180),
    ("ist", 120),
    ("jst", 540),
    ("kst", 540),
    ("mdt", -360),
    ("mest", 120),
    ("mesz", 120),
    ("met", 60),
    ("mez", 60),
    ("msd", 240),
    ("mst", -420),
    ("mut", 240),
    ("mvt", 300),
    ("myt", 480),
    ("ndt", -150),
    ("npt", 345),
    ("nst", -210),
    ("nzdt", 780),
    ("nzst", 720),
    ("pdt", -420),
    ("pet", -300),
    ("pht", 480),
    ("pkt", 300),
    ("pst", -480),
    ("ret", 240),
    ("sast", 120),
    ("sct", 240),
    ("tjt", 300),
    ("uct", 0),
    ("ut", 0),
    ("utc", 0),
    ("uyt", -180),
    ("uzt", 300),
    ("wast", 120),
    ("wat", 60),
    ("wet", 0),
    ("z", 0),
    ("zulu", 0),
];

/// The offset (seconds east of UTC) of an abbreviation such as `CEST`, in any case.
pub fn abbreviation_offset(name: &str) -> Option<i32> {
    let lower = name.to_ascii_lowercase();
    let at = ABBREVIATIONS.binary_search_by(|(abbreviation, _)| (*abbreviation).cmp(&lower)).ok()?;
    Some(ABBREVIATIONS[at].1 * 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_abbreviation_is_found() {
        for (name, minutes) in ABBREVIATIONS {
            assert_eq!(abbreviation_offset(&name.to_uppercase()), Some(minutes * 60), "{name}");
        }
        assert_eq!(abbreviation_offset("xyz"), None);
    }
}
